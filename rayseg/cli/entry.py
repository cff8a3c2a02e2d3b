"""From words to a command's exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from rayseg.cli.output import complain
from rayseg.cli.parser import parse
from rayseg.errors import RaysegError
from rayseg.imports import importing

__all__ = ["main"]

_WRONG = 2
_INTERRUPTED = 128 + signal.SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Args:
        argv: its words; None: those of this process.

    Returns:
        0 done; 1 ``doctor`` found something to do; 2 wrong words, or an error that says what to do; 130 Ctrl-C.

    Raises:
        SystemExit: by argparse, after ``--help`` and ``--version`` (0), and for words that it does not know (2).

    Example:
        >>> main(["show", "--schema"])  # doctest: +ELLIPSIS
        {
          "$schema": ...
        0
    """
    args = parse(sys.argv[1:] if argv is None else argv)
    try:
        with importing():
            command = import_module(f"rayseg.cli.{args.command}")
        status: int = command.run(args)
    except RaysegError as error:
        complain(str(error))
        return _WRONG
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"rayseg: {str(stop) or 'interrupted'}\n")  # not broken at columns: a command is to be copied
        return _INTERRUPTED
    except BrokenPipeError:  # `rayseg show | head`: nobody reads any more, and the interpreter must not try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status
