"""When loops ran, and a search: lines of begin and end in a file, from which a summary tells how the cluster was used."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rayseg.report import Span

__all__ = ["SPANS", "loop_seconds", "read_spans", "recorded_span"]

#: In a run's directory, and in that of a search.
SPANS = "spans.jsonl"


@contextmanager
def recorded_span(path: Path) -> Iterator[None]:
    """Write down when the block begins, and when it ends, however it ends.

    Args:
        path: a file; several spans follow each other in it.
    """
    _append(path, "began")
    try:
        yield
    finally:
        _append(path, "ended")


def read_spans(path: Path) -> list[Span]:
    """Spans of a file that have ended; that of a process that died has not, and is left out.

    Args:
        path: a file; one that is not there has none.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / SPANS
        >>> with recorded_span(path):
        ...     pass
        >>> len(read_spans(path)), read_spans(Path("absent"))
        (1, [])
    """
    began: float | None = None
    spans: list[Span] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        row = json.loads(line)
        if "ended" in row and began is not None:
            spans.append((began, row["ended"]))
        began = row.get("began")
    return spans


def loop_seconds(path: Path) -> float | None:
    """Seconds of all spans of a file; None where a process died in one, or there is none.

    Args:
        path: a file.

    Example:
        >>> loop_seconds(Path("absent")) is None
        True
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    spans = read_spans(path)
    return sum(end - begin for begin, end in spans) if spans and 2 * len(spans) == len(lines) else None


def _append(path: Path, what: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({what: time.time()}) + "\n")
