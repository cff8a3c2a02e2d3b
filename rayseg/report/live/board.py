"""The live picture of a search, as lines of text; what it tells is a function of rows and a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rayseg.report.live.rows import ENDED, LiveRow, LiveState, best_row, brief_text, changed_text, clock_text, steps_left

__all__ = ["Board", "bar", "clipped"]

_LABEL = 9
_BAR = 24
_MAX_RUNNING = 6
_WORDS = {"done": "done", "stopped": "stopped early", "failed": "failed"}
_OTHERS: tuple[LiveState, ...] = ("running", "waiting")


def bar(share: float, width: int = _BAR) -> str:
    """A bar of blocks.

    Args:
        share: how much of it is full, 0 to 1.
        width: columns.

    Example:
        >>> bar(0.5, 8)
        '████░░░░'
    """
    full = min(width, max(0, int(share * width)))
    return "█" * full + "░" * (width - full)


@dataclass(frozen=True)
class Board:
    r"""What stays the same while a search runs.

    Args:
        title: such as ``sweep ohem``.
        metric: by which trials are compared.
        mode: whether more or less of it is better.
        total_trials: of the search; None where that is not known beforehand.
        total_steps: of a trial that comes to its end.
        names: what to call the keys of recipes.
        ranks: whether the best is told; a confirmation tells no score before its end.

    Example:
        >>> board = Board("sweep ohem", "val/mIoU", "max", 4, 100, {"optim.lr": "lr"})
        >>> rows = [
        ...     LiveRow("baseline", "done", 100, 0.41, baseline=True),
        ...     LiveRow("a", "running", 60, 0.43, {"optim.lr": 0.02}),
        ... ]
        >>> print(*board.lines(rows, elapsed_s=100, left_s=140, use="2 of 2 CPU", width=80), sep="\n")
        sweep ohem   1:40, about 2 min left
          trials   ██████░░░░░░░░░░░░░░░░░░  1 of 4 ended: 1 done; 1 running, 2 waiting
          best     val/mIoU 0.4300 at step 60: a
                   lr 0.02
          now      a  step 60/100  0.4300  lr 0.02
          cluster  2 of 2 CPU
    """

    title: str
    metric: str
    mode: Literal["max", "min"]
    total_trials: int | None
    total_steps: int
    names: Mapping[str, str] = field(default_factory=dict)
    ranks: bool = True

    def lines(
        self,
        rows: Sequence[LiveRow],
        *,
        elapsed_s: float,
        left_s: float | None = None,
        phase: str = "",
        use: str = "",
        width: int = 100,
    ) -> list[str]:
        """The picture.

        Args:
            rows: of the trials that are known.
            elapsed_s: since the search was called.
            left_s: until its trials have ended, as far as can be told.
            phase: what goes on beside the trials, or nothing.
            use: how much of the cluster is in use.
            width: columns; longer lines end in ``…``.
        """
        left = "" if left_s is None else f", about {brief_text(left_s)} left"
        lines = [f"{self.title}   {clock_text(elapsed_s)}{left}"]
        if rows:
            lines += [self._trials(rows), *self._best(rows), *self._now(rows)]
        lines += [_line("doing", phase)] if phase else []
        lines += [_line("cluster", use)] if use else []
        return [clipped(line, width) for line in lines]

    def left_s(self, rows: Sequence[LiveRow], steps_before: int, working_s: float) -> float | None:
        """Seconds until all trials have ended, at the speed until now; None before half a trial's steps are known.

        Args:
            rows: of the trials that are known.
            steps_before: steps that were computed before the search was called, in an earlier part of it.
            working_s: since the first trial was started.
        """
        steps = sum(row.step for row in rows) - steps_before
        if steps < self.total_steps / 2 or self.total_trials is None:
            return None
        return steps_left(rows, self.total_trials, self.total_steps) * working_s / steps or None

    def ended_line(self, row: LiveRow, rows: Sequence[LiveRow]) -> str:
        """One plain line about a trial that has ended.

        Args:
            row: of that trial.
            rows: of all that are known, it among them.

        Example:
            >>> row = LiveRow("a", "stopped", 60, 0.43, {"optim.lr": 0.02})
            >>> Board("sweep ohem", "val/mIoU", "max", 12, 100).ended_line(row, [row])
            'trial  1/12  val/mIoU 0.4300  best 0.4300  step  60  stopped early  optim.lr 0.02'
        """
        best, total = best_row(rows, self.mode), "" if self.total_trials is None else str(self.total_trials)
        parts = [
            f"trial {sum(each.ended for each in rows):>{len(total) or 3}}{total and f'/{total}'}",
            f"{self.metric} {_score(row.score)}",
            f"best {_score(None if best is None else best.score)}" if self.ranks else "",
            f"step {row.step:>{len(str(self.total_steps))}}",
            {"failed": "FAILED", "stopped": "stopped early"}.get(row.state, ""),
            row.name if row.baseline or not self.ranks else "",
            self._changed(row),
            row.reason,
        ]
        return "  ".join(part for part in parts if part)

    def _trials(self, rows: Sequence[LiveRow]) -> str:
        counts = Counter(row.state for row in rows)
        ended = sum(row.ended for row in rows)
        total = len(rows) if self.total_trials is None else max(self.total_trials, len(rows))
        counts["waiting"] += total - len(rows)
        how = ", ".join(f"{counts[state]} {_WORDS[state]}" for state in ENDED if counts[state])
        others = ", ".join(f"{counts[state]} {state}" for state in _OTHERS if counts[state])
        known = "" if self.total_trials is None else f" of {total}"
        told = f"{ended}{known} ended{': ' + how if how else ''}{'; ' + others if others else ''}"
        return _line("trials", told if self.total_trials is None else f"{bar(ended / max(1, total))}  {told}")

    def _best(self, rows: Sequence[LiveRow]) -> list[str]:
        best = best_row(rows, self.mode) if self.ranks else None
        if best is None:
            return []
        told = f"{self.metric} {_score(best.score)} at step {best.step}{self._gain(best, rows)}: {best.name}"
        return [_line("best", told), *([_line("", self._changed(best))] if best.changed else [])]

    def _gain(self, best: LiveRow, rows: Sequence[LiveRow]) -> str:
        """Over the baseline, where both were scored at the same step."""
        base = next((row for row in rows if row.baseline), best)
        if base is best or base.score is None or best.score is None or base.step != best.step:
            return ""
        return f", {best.score - base.score:+.4f} to the baseline"

    def _now(self, rows: Sequence[LiveRow]) -> list[str]:
        running = [row for row in rows if row.state == "running"]
        digits, names = len(str(self.total_steps)), max((len(row.name) for row in running), default=0)
        told = [
            f"{row.name:<{names}}  step {row.step:>{digits}}/{self.total_steps}  {_score(row.score):<6}  {self._changed(row)}"
            for row in running[:_MAX_RUNNING]
        ]
        told += [f"and {len(running) - _MAX_RUNNING} more"] if len(running) > _MAX_RUNNING else []
        return [_line("now" if number == 0 else "", line.rstrip()) for number, line in enumerate(told)]

    def _changed(self, row: LiveRow) -> str:
        return changed_text(row.changed, self.names)


def _line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def clipped(line: str, width: int) -> str:
    """A line of at most so many columns.

    Example:
        >>> clipped("a long line", 7)
        'a long…'
    """
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"
