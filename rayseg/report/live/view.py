"""A search seen while it runs: one picture at the foot of a terminal, or plain lines where stdout is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol, TextIO

from rayseg.report.live.board import Board
from rayseg.report.live.rows import LiveRow
from rayseg.report.live.terminal import Foot, Redrawn, Seldom, beside_foot, is_terminal

__all__ = ["LiveView", "PlainView", "SearchView", "shown_search"]


class SearchView(Protocol):
    """What is told of a search while it runs; small events, from any thread."""

    def say(self, line: str) -> None:
        """A line that stays."""
        ...

    def doing(self, phase: str) -> None:
        """What goes on beside the trials; ``""``: nothing."""
        ...

    def see(self, rows: Sequence[LiveRow], total_trials: int | None) -> None:
        """The trials as they are now."""
        ...

    def ended(self, row: LiveRow, rows: Sequence[LiveRow], total_trials: int | None) -> None:
        """A trial has ended; ``rows`` are all that are known, it among them."""
        ...


class PlainView:
    """A line for each trial that ends.

    Args:
        board: what stays the same.
        stream: where they are printed; None: ``sys.stdout`` as it is then.

    Example:
        >>> row = LiveRow("baseline", "done", 100, 0.41, baseline=True)
        >>> PlainView(Board("sweep ohem", "val/mIoU", "max", None, 100)).ended(row, [row], 4)
        trial 1/4  val/mIoU 0.4100  best 0.4100  step 100  baseline
    """

    def __init__(self, board: Board, stream: TextIO | None = None) -> None:
        self._board = board
        self._stream = stream

    def say(self, line: str) -> None:
        """Print it."""
        stream = self._stream or sys.stdout
        stream.write(f"{line}\n")
        stream.flush()

    def doing(self, phase: str) -> None:
        """Nothing: what takes a while is no event."""

    def see(self, rows: Sequence[LiveRow], total_trials: int | None) -> None:
        """Nothing."""

    def ended(self, row: LiveRow, rows: Sequence[LiveRow], total_trials: int | None) -> None:
        """Print its line."""
        self.say(replace(self._board, total_trials=total_trials).ended_line(row, rows))


class LiveView:
    """The picture of a search, drawn anew about once a second by a thread of its own.

    Args:
        board: what stays the same.
        foot: where it is drawn.
        use: tells how much of the cluster is in use; called by the thread, seldom.
        every_s: seconds between pictures.
        clock: seconds, rising.

    Example:
        >>> view = LiveView(Board("sweep ohem", "val/mIoU", "max", None, 100), Foot(sys.stdout), lambda: "")  # doctest: +SKIP
        >>> view.see([LiveRow("baseline", "running", 60, 0.4)], 12)  # doctest: +SKIP
    """

    def __init__(
        self,
        board: Board,
        foot: Foot,
        use: Callable[[], str],
        *,
        every_s: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board, self._foot, self._use, self._clock = board, foot, Seldom(use), clock
        self._begun, self._working_since, self._steps_before = clock(), 0.0, 0
        self._rows: tuple[LiveRow, ...] = ()
        self._phase = ""
        self._redrawn = Redrawn(foot, self._picture, every_s)

    def say(self, line: str) -> None:
        """Print it above."""
        self._foot.above(line)

    def doing(self, phase: str) -> None:
        """Show it until something else is done."""
        self._phase = phase

    def see(self, rows: Sequence[LiveRow], total_trials: int | None) -> None:
        """Show these."""
        steps = sum(row.step for row in rows)
        if rows and (not self._rows or steps < sum(row.step for row in self._rows)):  # the first, or those of another stage
            self._working_since, self._steps_before = self._clock(), steps
        self._rows, self._board = tuple(rows), replace(self._board, total_trials=total_trials)

    def ended(self, row: LiveRow, rows: Sequence[LiveRow], total_trials: int | None) -> None:
        """Show it; of a trial that failed there is a line that stays."""
        self.see(rows, total_trials)
        if row.state == "failed":
            self.say(self._board.ended_line(row, rows))

    def close(self) -> None:
        """Draw no more."""
        self._redrawn.close()

    def _picture(self, width: int) -> list[str]:
        rows, now = self._rows, self._clock()
        left = self._board.left_s(rows, self._steps_before, now - self._working_since) if rows and not self._phase else None
        return self._board.lines(
            rows, elapsed_s=now - self._begun, left_s=left, phase=self._phase, use=self._use(), width=width
        )


@contextmanager
def shown_search(board: Board, use: Callable[[], str]) -> Iterator[SearchView]:
    """The view that stdout allows, until the block ends.

    Args:
        board: what stays the same.
        use: tells how much of the cluster is in use, or nothing; only asked for a terminal.

    Example:
        >>> with shown_search(Board("sweep ohem", "val/mIoU", "max", None, 100), lambda: "") as view:
        ...     view.say("MLflow  http://tracker:5000")
        MLflow  http://tracker:5000
    """
    if not is_terminal(sys.stdout):
        yield PlainView(board)
        return
    foot = Foot(sys.stdout)
    with beside_foot(foot):
        view = LiveView(board, foot, use)
        try:
            yield view
        finally:
            view.close()
