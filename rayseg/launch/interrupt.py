"""Ctrl-C while something runs: one line that says what is kept and how to go on, instead of a traceback."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from types import TracebackType

from rayseg.errors import Interrupted

__all__ = ["again", "calm_interrupt"]


@contextmanager
def calm_interrupt(directory: Path, *, named: bool = True) -> Iterator[None]:
    """Inside, Ctrl-C becomes an ``Interrupted`` that says what is kept; a script that it ends prints that line only.

    Args:
        directory: of the search or the run.
        named: whether the user gave it its name; otherwise going on takes the name, too.

    Raises:
        Interrupted: Ctrl-C came.

    Example:
        >>> with calm_interrupt(Path("runs/ohem")):
        ...     pass
    """
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        _print_no_traceback()
        trials = len(list(directory.glob(f"{escape(directory.name)}-*/metrics.jsonl")))
        kept = (
            "what was done is"
            if not trials
            else "1 trial with scores is"
            if trials == 1
            else f"{trials} trials with scores are"
        )
        name = None if named else directory.name
        raise Interrupted(f"interrupted; {kept} kept in {directory}. To go on:\n    {again(name)}") from None


def again(name: str | None = None, words: Sequence[str] | None = None) -> str:
    """What to type to do the same again.

    Args:
        name: that must be said, too; None: it is in what was called.
        words: of the command line, with the interpreter; None: those of this process.

    Example:
        >>> again("sweep-1", ["/usr/bin/python", "/usr/bin/rayseg", "sweep", "my streets.yaml"])
        "rayseg sweep 'my streets.yaml' tracking.name=sweep-1"
        >>> again(None, ["/usr/bin/python", "experiments/ohem_sweep.py", "--smoke"])
        'python experiments/ohem_sweep.py --smoke'
        >>> again("sweep-1", ["/usr/bin/python", "-c", "..."])
        'make the same call again, with tracking.name sweep-1'
    """
    called = list(sys.orig_argv if words is None else words)
    script = called[1] if len(called) > 1 else "-"
    if Path(script).name == "rayseg":
        return shlex.join(["rayseg", *called[2:], *([] if name is None else [f"tracking.name={name}"])])
    also = "" if name is None else f", with tracking.name {name}"
    if script.startswith("-") and script != "-m":
        return f"make the same call again{also}"
    return f"{shlex.join(['python', *called[1:]])}{also}"


def _print_no_traceback() -> None:
    """A script that nobody guards ends with the line alone, and with 130, as a shell has it."""
    before = sys.excepthook

    def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, Interrupted):
            sys.stderr.write(f"{error}\n")
            sys.exit(128 + signal.SIGINT)
        before(kind, error, trace)

    sys.excepthook = told
