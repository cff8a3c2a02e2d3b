"""MMSegmentation's config files, read without MMSegmentation.

===============  ==============================================================
``files``        a file with its bases and variables, as plain data
``expressions``  the Python that such files may be written in
``imports``      classes and bases that are imported
``allowed``      its operators, functions and methods
``merging``      a child over its bases
``places``       where bases are, and the newer names of old files
``options``      ``--cfg-options``
``unread``       names that nothing reads
``translation``  what it says, in our words
``sections``     what of it was read, and what was not
``heads``        losses and samplers
``optimizing``   optimizer, groups, clipping, precision
``schedulers``   schedules
``updaters``     those of 0.x
``pieces``       those of 1.x, one by one
``clocks``       their lengths and floors
``pictures``     transforms, batch
``sets``         data sets, several as one
``folders``      where one of them lies
``judging``      test pipelines
``running``      lengths, evaluation, checkpoints, records
``hooks``        averages of weights, early stopping, own hooks
``accumulating`` several iterations as one step
``layers``       rates that fall with the depth
``starting``     weights to begin with
===============  ==============================================================
"""

from __future__ import annotations

from rayseg.compat.mmseg.files import is_mmseg_config, mmseg_config_file, read_mmseg_config
from rayseg.compat.mmseg.options import parse_cfg_options
from rayseg.compat.mmseg.translation import Translation, translate

__all__ = ["Translation", "is_mmseg_config", "mmseg_config_file", "parse_cfg_options", "read_mmseg_config", "translate"]
