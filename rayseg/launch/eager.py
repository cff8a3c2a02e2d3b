"""Whether a run that was to be compiled was: a compiler that gives up says so where nobody reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rayseg.engine import eager_reasons
from rayseg.tracking import Tracker

__all__ = ["eager_in", "told_eager"]

_FILE = "eager.txt"
#: Of a tag that says more than a name.
_TAG_CHARACTERS = 500


@contextmanager
def told_eager(directory: Path, tracker: Tracker) -> Iterator[None]:
    """Around a loop: why a part of it ran uncompiled, if one did, becomes ``eager.txt`` and the tag ``rayseg.eager``.

    Args:
        directory: of the run.
        tracker: of the run.
    """
    try:
        yield
    finally:
        if reasons := eager_reasons():
            (directory / _FILE).write_text("; ".join(reasons), encoding="utf-8")
            tracker.set_tags({"rayseg.eager": "; ".join(reasons)[:_TAG_CHARACTERS]})


def eager_in(directory: Path) -> str | None:
    """Why a part of the run in a directory ran uncompiled; None where none did.

    Args:
        directory: of the run.

    Example:
        >>> eager_in(Path("nowhere")) is None
        True
    """
    path = directory / _FILE
    return path.read_text(encoding="utf-8") if path.is_file() else None
