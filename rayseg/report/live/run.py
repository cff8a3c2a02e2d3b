"""One run seen while it trains: its picture at the foot of a terminal."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

from rayseg.report.live.board import bar, clipped
from rayseg.report.live.rows import brief_text, clock_text
from rayseg.report.live.terminal import Foot, Redrawn, Seldom, beside_foot, is_terminal

__all__ = ["LiveRun", "RunBoard", "RunSeen", "shown_run"]

_LABEL = 9
_RATE = re.compile(r"^perf/(.+)_per_s$")


@dataclass(frozen=True)
class RunSeen:
    """What is known of a run.

    Args:
        step: the last of which something is known.
        train: newest value of each ``train/...`` and ``perf/...``.
        val: those of the last evaluation.
        val_step: its step; 0 before the first.
        best: best score so far, or None.
        best_step: its step.

    Example:
        >>> seen = RunSeen().told(10, {"train/loss": 0.7}, "val/mIoU", "max").told(20, {"val/mIoU": 0.4}, "val/mIoU", "max")
        >>> seen.step, seen.train["train/loss"], seen.best
        (20, 0.7, 0.4)
    """

    step: int = 0
    train: Mapping[str, float] = field(default_factory=dict)
    val: Mapping[str, float] = field(default_factory=dict)
    val_step: int = 0
    best: float | None = None
    best_step: int = 0

    def told(self, step: int, metrics: Mapping[str, float], metric: str, mode: Literal["max", "min"]) -> RunSeen:
        """With what was measured at a step.

        Args:
            step: optimizer step.
            metrics: values by name.
            metric: by which evaluations are compared.
            mode: whether more or less of it is better.
        """
        val = {name: value for name, value in metrics.items() if name.startswith("val/")}
        train = {**self.train, **{name: value for name, value in metrics.items() if name not in val}}
        seen = replace(self, step=max(step, self.step), train=train)
        if not val:
            return seen
        seen, score = replace(seen, val=val, val_step=step), val.get(metric, math.nan)
        better = self.best is None or (score > self.best if mode == "max" else score < self.best)
        return seen if math.isnan(score) or not better else replace(seen, best=score, best_step=step)


@dataclass(frozen=True)
class RunBoard:
    r"""What stays the same while a run trains.

    Args:
        title: such as ``train streets``.
        metric: by which evaluations are compared.
        mode: whether more or less of it is better.
        total_steps: of the run.

    Example:
        >>> board = RunBoard("train streets", "val/mIoU", "max", 300)
        >>> seen = RunSeen(120, {"train/loss": 0.71, "train/lr/all": 0.003}, {"val/mIoU": 0.43}, 100, 0.44, 50)
        >>> print(*board.lines(seen, elapsed_s=100, left_s=140, width=80), sep="\n")
        train streets   1:40, about 2 min left
          step     █████████░░░░░░░░░░░░░░░  120/300
          train    loss 0.71  lr 0.003
          val      mIoU 0.4300 at step 100, best 0.4400 at step 50
    """

    title: str
    metric: str
    mode: Literal["max", "min"]
    total_steps: int

    def lines(
        self, seen: RunSeen, *, elapsed_s: float, left_s: float | None = None, phase: str = "", use: str = "", width: int = 100
    ) -> list[str]:
        """The picture.

        Args:
            seen: what is known of the run.
            elapsed_s: since it was called.
            left_s: until its last step, as far as can be told.
            phase: what goes on before the first step, or nothing.
            use: how much of the cluster is in use.
            width: columns; longer lines end in ``…``.
        """
        left = "" if left_s is None else f", about {brief_text(left_s)} left"
        told = {"step": self._steps(seen), "train": _train(seen.train), "val": self._val(seen), "doing": phase, "cluster": use}
        lines = [
            f"{self.title}   {clock_text(elapsed_s)}{left}",
            *(f"  {key:<{_LABEL}}{line}" for key, line in told.items() if line),
        ]
        return [clipped(line, width) for line in lines]

    def _steps(self, seen: RunSeen) -> str:
        return f"{bar(seen.step / self.total_steps)}  {seen.step}/{self.total_steps}" if seen.step else ""

    def _val(self, seen: RunSeen) -> str:
        if self.metric not in seen.val:
            return ""
        name = self.metric.removeprefix("val/")
        best = (
            "" if seen.best is None or seen.best_step == seen.val_step else f", best {seen.best:.4f} at step {seen.best_step}"
        )
        return f"{name} {seen.val[self.metric]:.4f} at step {seen.val_step}{best}"


def _train(values: Mapping[str, float]) -> str:
    """Loss, rates of learning, images a second."""
    rates = sorted({value for name, value in values.items() if name.startswith("train/lr/")})
    loss = [f"loss {values['train/loss']:.4g}"] if "train/loss" in values else []
    lr = [f"lr {'..'.join(f'{each:.3g}' for each in dict.fromkeys((rates[0], rates[-1])))}"] if rates else []
    speed = [f"{value:.3g} {found[1]}/s" for name, value in values.items() if (found := _RATE.match(name))]
    return "  ".join([*loss, *lr, *speed])


class LiveRun:
    """The picture of a run, drawn anew about twice a second by a thread of its own.

    Args:
        board: what stays the same.
        foot: where it is drawn.
        use: tells how much of the cluster is in use; called by the thread, seldom.
        every_s: seconds between pictures.
        clock: seconds, rising.

    Example:
        >>> run = LiveRun(RunBoard("train a", "val/mIoU", "max", 100), Foot(sys.stdout), lambda: "")  # doctest: +SKIP
        >>> run.see(10, {"train/loss": 0.7})  # doctest: +SKIP
    """

    def __init__(
        self,
        board: RunBoard,
        foot: Foot,
        use: Callable[[], str],
        *,
        every_s: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board, self._foot, self._use, self._clock = board, foot, Seldom(use), clock
        self._seen, self._phase = RunSeen(), ""
        self._begun, self._first, self._last_at = clock(), (0, 0.0), 0.0
        self._redrawn = Redrawn(foot, self._picture, every_s)

    def say(self, line: str) -> None:
        """Print it above."""
        self._foot.above(line)

    def doing(self, phase: str) -> None:
        """Show it until something else is done, or the first step was."""
        self._phase = phase

    def see(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show what was measured at a step."""
        if self._seen.step == 0:
            self._first, self._phase = (step, self._clock()), ""
        self._last_at = self._clock() if step > self._seen.step else self._last_at
        self._seen = self._seen.told(step, metrics, self._board.metric, self._board.mode)

    def close(self) -> None:
        """Draw no more."""
        self._redrawn.close()

    def _picture(self, width: int) -> list[str]:
        elapsed = self._clock() - self._begun
        return self._board.lines(
            self._seen, elapsed_s=elapsed, left_s=self.left_s, phase=self._phase, use=self._use(), width=width
        )

    @property
    def left_s(self) -> float | None:
        """Seconds until the last step, at the speed since the first steps that were told; those were slow."""
        first, since = self._first
        steps = self._seen.step - first
        if steps < 1:
            return None
        wanted_s = (self._board.total_steps - self._seen.step) * (self._last_at - since) / steps
        return max(0.0, wanted_s - (self._clock() - self._last_at)) or None


@contextmanager
def shown_run(board: RunBoard, use: Callable[[], str]) -> Iterator[LiveRun | None]:
    """The picture of a run until the block ends; None where stdout is no terminal.

    Args:
        board: what stays the same.
        use: tells how much of the cluster is in use, or nothing.

    Example:
        >>> with shown_run(RunBoard("train a", "val/mIoU", "max", 100), lambda: "") as live:
        ...     print(live)
        None
    """
    if not is_terminal(sys.stdout):
        yield None
        return
    foot = Foot(sys.stdout)
    with beside_foot(foot):
        live = LiveRun(board, foot, use)
        try:
            yield live
        finally:
            live.close()
