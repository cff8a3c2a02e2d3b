"""The command line: the words of the Python API, and what a terminal needs around them.

Each command is a module of its name with ``run(args) -> exit status``; it is imported when it is called, so that
``rayseg show`` needs no tensors. Exit status: 0 done, 1 something should be done (``doctor``), 2 the user's words cannot be
carried out, 130 Ctrl-C.
"""

from __future__ import annotations

from rayseg.cli.entry import main

__all__ = ["main"]
