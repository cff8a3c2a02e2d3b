"""The grammar of an experiment: what may be written, how it is changed, how it is read and shown."""
