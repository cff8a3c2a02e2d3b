"""Schedules made of schedules: warm-up, phases one after the other, the clock of epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rayseg.optim.schedules._arguments import Schedule, at_least, refuse

__all__ = ["WarmupType", "hold_epochs", "in_epochs", "join", "with_warmup"]

WarmupType = Literal["constant", "linear", "exp"]


@dataclass(frozen=True)
class _Warmup:
    schedule: Schedule
    type: WarmupType
    warmup_steps: int
    ratio: float
    divide: bool

    def __call__(self, step: int, total_steps: int) -> float:
        value, factor = self.schedule(step, total_steps), self._factor(step)
        return value / factor if self.divide else value * factor

    def _factor(self, step: int) -> float:
        if step >= self.warmup_steps:
            return 1.0
        left = 1 - step / self.warmup_steps
        match self.type:
            case "constant":
                return self.ratio
            case "linear":
                return 1 - left * (1 - self.ratio)
            case "exp":
                return math.pow(self.ratio, left)


@dataclass(frozen=True)
class _Join:
    schedules: tuple[Schedule, ...]
    lengths: tuple[int, ...]

    def __call__(self, step: int, total_steps: int) -> float:
        begin = 0
        for schedule, length in zip(self.schedules, self.lengths, strict=False):
            if step < begin + length:
                return schedule(step - begin, length)
            begin += length
        return self.schedules[-1](step - begin, max(total_steps - begin, 1))


@dataclass(frozen=True)
class _Epochs:
    schedule: Schedule
    num_images: int
    batch_size: int
    counts: bool

    def __call__(self, step: int, total_steps: int) -> float:
        if self.counts:
            return self.schedule(self._epoch(step), self._epoch(total_steps - 1) + 1)
        return self.schedule(math.ceil(self._epoch(step) * self.num_images / self.batch_size), total_steps)

    def _epoch(self, step: int) -> int:
        """The epoch that the step's first image belongs to."""
        return step * self.batch_size // self.num_images


def with_warmup(
    schedule: Schedule,
    *,
    type: WarmupType = "linear",  # noqa: A002
    warmup_steps: int,
    ratio: float = 0.1,
    divide: bool = False,
) -> Schedule:
    """A schedule whose first steps are made smaller; its clock is not shifted (the warm-up of mmcv 1.x).

    At step t of ``warmup_steps`` W the schedule's own value is multiplied by ``ratio`` (constant), by
    ``1 - (1 - t/W) * (1 - ratio)`` (linear) or by ``ratio^(1 - t/W)`` (exp), and from W on by 1.

    Args:
        schedule: what is warmed up.
        type: shape of the factor.
        warmup_steps: W; 0 is no warm-up.
        ratio: factor at step 0, above 0, up to 1.
        divide: divide by the factor: mmcv's warm-up of momentum, which begins above its value.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> from rayseg.optim import constant
        >>> warm = with_warmup(constant(), warmup_steps=4, ratio=0.2)
        >>> [round(warm(step, 100), 3) for step in range(5)]
        [0.2, 0.4, 0.6, 0.8, 1.0]
    """
    known = type in {"constant", "linear", "exp"}
    refuse(
        "warmup",
        {
            "type": None if known else f"must be 'constant', 'linear' or 'exp', got {type!r}",
            "warmup_steps": None if warmup_steps >= 0 else f"must not be negative, got {warmup_steps!r}",
            "ratio": None if 0 < ratio <= 1 else f"must be above 0, up to 1, got {ratio!r}",
        },
    )
    return _Warmup(schedule, type, warmup_steps, ratio, divide)


def join(schedules: Sequence[Schedule], lengths: Sequence[int]) -> Schedule:
    """Phases one after the other; the clock of each starts where it begins, and its total is its own length.

    MMEngine's ``LinearLR(end=W)`` before ``PolyLR(begin=W)`` is ``join([linear(...), poly(...)], [W])``.

    Args:
        schedules: in their order.
        lengths: steps of each but the last, which has the rest of the run.

    Raises:
        ConfigError: the numbers of schedules and lengths do not fit, or a length is below 1.

    Example:
        >>> from rayseg.optim import constant, linear
        >>> phases = join([constant(value=0.5), linear()], [2])
        >>> [phases(step, 6) for step in range(6)]
        [0.5, 0.5, 1.0, 0.75, 0.5, 0.25]
    """
    fits = len(schedules) == len(lengths) + 1
    few = None if fits else f"{len(lengths)} for {len(schedules)} schedules; give one for each but the last"
    refuse("join", {"lengths": few or at_least(min(lengths, default=1), 1)})
    return _Join(tuple(schedules), tuple(lengths))


def hold_epochs(schedule: Schedule, *, num_images: int, batch_size: int) -> Schedule:
    """The value of an epoch's first step through the epoch: ``by_epoch`` of mmcv.

    A step belongs to the epoch of its first image.

    Args:
        schedule: whose clock stays one of steps.
        num_images: in the training set.
        batch_size: images in one step.

    Raises:
        ConfigError: a number is below 1.

    Example:
        >>> from rayseg.optim import linear
        >>> held = hold_epochs(linear(), num_images=10, batch_size=5)
        >>> [held(step, 8) for step in range(8)]
        [1.0, 1.0, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25]
    """
    refuse("hold_epochs", {"num_images": at_least(num_images, 1), "batch_size": at_least(batch_size, 1)})
    return _Epochs(schedule, num_images, batch_size, counts=False)


def in_epochs(schedule: Schedule, *, num_images: int, batch_size: int) -> Schedule:
    """A schedule whose own clock counts epochs.

    Args:
        schedule: called with the epoch and the number of epochs that the run begins.
        num_images: in the training set.
        batch_size: images in one step.

    Raises:
        ConfigError: a number is below 1.

    Example:
        >>> from rayseg.optim import step
        >>> halved = in_epochs(step(every=1, gamma=0.5), num_images=10, batch_size=5)
        >>> [halved(t, 6) for t in range(6)]
        [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    refuse("in_epochs", {"num_images": at_least(num_images, 1), "batch_size": at_least(batch_size, 1)})
    return _Epochs(schedule, num_images, batch_size, counts=True)
