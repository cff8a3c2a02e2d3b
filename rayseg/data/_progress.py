"""How far something slow has come: a bar on a terminal, a few plain lines elsewhere, nothing if it is quick."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

__all__ = ["Progress"]

_QUICK_S = 1.0
_REDRAW_S = 0.1
_LINE_S = 10.0
_BAR_WIDTH = 30


@dataclass
class Progress:
    """Call it with how many are done, and how many there are.

    Args:
        what: is counted, such as ``label masks``.
        stream: where it is told; None: nowhere.
        clock: seconds.

    Example:
        >>> import io, itertools
        >>> stream = io.StringIO()
        >>> progress = Progress("masks", stream, clock=itertools.count(step=6).__next__)
        >>> for done in range(4):
        ...     progress(done + 1, 4)
        >>> print(stream.getvalue(), end="")
        masks: 1 of 4 (25 %)
        masks: 3 of 4 (75 %)
        masks: 4 of 4 (100 %)
    """

    what: str
    stream: TextIO | None
    clock: Callable[[], float] = time.monotonic
    _start: float = field(init=False)
    _told: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self._start = self.clock()

    def __call__(self, done: int, total: int) -> None:
        """Tell it, if it is time: never in the first second, at the end only if something was told before."""
        if self.stream is None:
            return
        now, terminal = self.clock(), self.stream.isatty()
        begun, last = self._told > float("-inf"), done >= total
        due = now - self._told >= (_REDRAW_S if terminal else _LINE_S) and now - self._start >= _QUICK_S
        if (due and not (last and not begun)) or (last and begun):
            self._told = now
            self.stream.write(self._bar(done, total) if terminal else f"{self._line(done, total)}\n")
            self.stream.flush()

    def _line(self, done: int, total: int) -> str:
        return f"{self.what}: {done} of {total} ({100 * done // total} %)"

    def _bar(self, done: int, total: int) -> str:
        filled = _BAR_WIDTH * done // total
        end = "\n" if done >= total else ""
        return f"\r{self.what} [{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {done}/{total}{end}"
