"""Lines at the foot of a terminal, rewritten in place; whatever else is printed goes above them.

The cursor stays as it is, below them, so that a process that is killed leaves nothing to repair.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, RLock, Thread
from typing import TextIO

__all__ = ["Foot", "Redrawn", "Seldom", "beside_foot", "is_terminal"]

_UP, _CLEAR_BELOW, _CLEAR_LINE = "\x1b[{}A", "\x1b[J", "\x1b[K"


def is_terminal(stream: TextIO) -> bool:
    """Whether lines can be rewritten there; ``TERM=dumb`` says no.

    Example:
        >>> import io
        >>> is_terminal(io.StringIO())
        False
    """
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Foot:
    r"""The last lines of a terminal. Any thread may call.

    Args:
        stream: the terminal.

    Example:
        >>> import io
        >>> stream = io.StringIO()
        >>> foot = Foot(stream)
        >>> foot.draw(["one", "two"])
        >>> foot.draw(["one", "three"])
        >>> foot.close()
        >>> stream.getvalue().count("\x1b[2A"), stream.getvalue().endswith("\x1b[J")
        (2, True)
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = RLock()
        self._lines: list[str] = []

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal."""
        try:
            found = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return shutil.get_terminal_size()
        return found if found.columns > 0 and found.lines > 0 else os.terminal_size((80, 24))

    def draw(self, lines: Sequence[str]) -> None:
        """Put these lines in the place of those that were drawn before; as many as the terminal is high."""
        columns, rows = self.size
        with self._lock:
            new = [line[: columns - 1] for line in lines[: rows - 1]]
            self._write(self._home() + "".join(f"{line}{_CLEAR_LINE}\n" for line in new) + _CLEAR_BELOW)
            self._lines = new

    def above(self, text: str) -> None:
        """Print whole lines above."""
        with self._lock:
            lines = self._lines
            self._write(
                self._home()
                + _CLEAR_BELOW
                + text
                + ("" if text.endswith("\n") else "\n")
                + "".join(f"{line}\n" for line in lines)
            )

    def close(self) -> None:
        """Take the lines away."""
        with self._lock:
            if self._lines:
                self._write(self._home() + _CLEAR_BELOW)
            self._lines = []

    def _home(self) -> str:
        """To the first of the lines, which may have become more since, where the terminal was made narrower."""
        columns = self.size[0]
        rows = sum(max(1, math.ceil(len(line) / columns)) for line in self._lines)
        return f"\r{_UP.format(rows)}" if rows else ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Seldom:
    """Asks at every fourth call only; between, the answer is that of before.

    Args:
        ask: what is dear to ask, such as how much of a cluster is in use.

    Example:
        >>> asked = iter(["1/2 CPUs", "2/2 CPUs"])
        >>> seldom = Seldom(lambda: next(asked))
        >>> [seldom() for _ in range(5)]
        ['1/2 CPUs', '1/2 CPUs', '1/2 CPUs', '1/2 CPUs', '2/2 CPUs']
    """

    _EVERY = 4

    def __init__(self, ask: Callable[[], str]) -> None:
        self._ask, self._calls, self._answer = ask, 0, ""

    def __call__(self) -> str:
        """The answer, new or old."""
        if self._calls % self._EVERY == 0:
            self._answer = self._ask()
        self._calls += 1
        return self._answer


class Redrawn:
    r"""A picture at the foot, drawn anew by a thread of its own until it is closed.

    Args:
        foot: where it is drawn.
        picture: makes its lines for so many columns; called by the thread.
        every_s: seconds between pictures.

    Example:
        >>> import io
        >>> stream = io.StringIO()
        >>> drawn = Redrawn(Foot(stream), lambda columns: ["step 1"], 60.0)
        >>> drawn.close()
        >>> stream.getvalue().startswith("step 1")
        True
    """

    def __init__(self, foot: Foot, picture: Callable[[int], Sequence[str]], every_s: float) -> None:
        self._foot, self._picture, self._every_s = foot, picture, every_s
        self._done = Event()
        self._thread = Thread(target=self._run, name="rayseg-live", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Draw no more."""
        self._done.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            self._foot.draw(self._picture(self._foot.size[0] - 1))
            if self._done.wait(self._every_s):
                return


class _Above:
    """Stands for ``sys.stdout`` or ``sys.stderr`` while a foot is drawn: whole lines go above it.

    Args:
        stream: for which it stands.
        foot: beside it.
    """

    def __init__(self, stream: TextIO, foot: Foot) -> None:
        self._stream = stream
        self._foot = foot
        self._rest = ""

    def write(self, text: str) -> int:
        """Keep what is no whole line yet."""
        whole, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._foot.above(whole)
        return len(text)

    def flush(self) -> None:
        """Nothing: whole lines are written at once."""

    def end(self) -> None:
        """Write what is left."""
        if self._rest:
            self._foot.above(self._rest)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextmanager
def beside_foot(foot: Foot) -> Iterator[None]:
    """While the block runs, what Python prints goes above the foot, which is closed at the end, however it ends.

    Args:
        foot: of the terminal that stdout is.

    Example:
        >>> with beside_foot(Foot(sys.stdout)):
        ...     print("as ever")
        as ever
    """
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    ours = {name: _Above(stream, foot) for name, stream in before.items() if is_terminal(stream)}
    for name, above in ours.items():
        setattr(sys, name, above)
    try:
        yield
    finally:
        for name, above in ours.items():
            setattr(sys, name, before[name])
            above.end()
        foot.close()
