"""Schedules: what fraction of its initial value the learning rate (or the momentum) has at a step.

A schedule is a pure function ``(step, total_steps) -> multiplier``: step counts from 0, there is no state, and a checkpoint
holds the step only. Every parameter group is multiplied from its own initial value, and a floor is a ratio of it, so that
groups keep their proportions to the end (an absolute floor would lift a group that starts below it). Schedules are small frozen
objects: two with the same arguments are equal, and they travel to workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from torch.optim import Optimizer

from rayseg.errors import ConfigError, Problem

__all__ = ["SCHEDULES", "Schedule", "WarmupType", "apply_schedule", "constant", "cosine", "poly", "with_warmup"]

#: ``(step, total_steps) -> multiplier``.
Schedule = Callable[[int, int], float]
WarmupType = Literal["constant", "linear", "exp"]


def _progress(step: int, total_steps: int) -> float:
    """Fraction of the run that is over, 0 to 1."""
    return min(max(step / total_steps, 0.0), 1.0)


def _check(where: str, wrong: Mapping[str, str | None]) -> None:
    if problems := [Problem(path, message) for path, message in wrong.items() if message]:
        raise ConfigError(problems, where)


def _not_in(value: float, low: float, high: float) -> str | None:
    return None if low <= value <= high else f"must be from {low:g} to {high:g}, got {value!r}"


@dataclass(frozen=True)
class _Constant:
    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        return 1.0


@dataclass(frozen=True)
class _Poly:
    power: float
    floor: float

    def __call__(self, step: int, total_steps: int) -> float:
        left = math.pow(1 - _progress(step, total_steps), self.power)
        return (1 - self.floor) * left + self.floor


@dataclass(frozen=True)
class _Cosine:
    floor: float

    def __call__(self, step: int, total_steps: int) -> float:
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * _progress(step, total_steps))) / 2


@dataclass(frozen=True)
class _Warmup:
    schedule: Schedule
    type: WarmupType
    warmup_steps: int
    ratio: float

    def __call__(self, step: int, total_steps: int) -> float:
        return self.schedule(step, total_steps) * self._factor(step)

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


def constant() -> Schedule:
    """Always 1.

    Example:
        >>> constant()(7, 10)
        1.0
    """
    return _Constant()


def poly(*, power: float = 0.9, floor: float = 0.0) -> Schedule:
    """``(1 - floor) * (1 - step / total)^power + floor``, the policy of DeepLab (Chen et al. 2017) and of mmcv's ``poly``.

    As there the floor is never quite reached: the last step is ``total - 1``.

    Args:
        power: above 0; 1 is a straight line.
        floor: ratio of the initial value, 0 to 1: mmcv's ``min_lr`` over the base rate.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> poly(power=1.0, floor=0.5)(5, 10)
        0.75
    """
    positive = None if power > 0 else f"must be positive, got {power!r}"
    _check("poly", {"power": positive, "floor": _not_in(floor, 0, 1)})
    return _Poly(power, floor)


def cosine(*, floor: float = 0.0) -> Schedule:
    """``floor + (1 - floor) * (1 + cos(pi * step / total)) / 2`` (Loshchilov and Hutter 2017, "SGDR", without restarts).

    Args:
        floor: ratio of the initial value, 0 to 1.

    Raises:
        ConfigError: ``floor`` is out of range.

    Example:
        >>> cosine()(5, 10)
        0.5
    """
    _check("cosine", {"floor": _not_in(floor, 0, 1)})
    return _Cosine(floor)


def with_warmup(schedule: Schedule, *, type: WarmupType = "linear", warmup_steps: int, ratio: float = 0.1) -> Schedule:  # noqa: A002
    """A schedule whose first steps are made smaller; its clock is not shifted (the warm-up of mmcv 1.x).

    At step t of ``warmup_steps`` W the schedule's own value is multiplied by ``ratio`` (constant), by
    ``1 - (1 - t/W) * (1 - ratio)`` (linear) or by ``ratio^(1 - t/W)`` (exp), and from W on by 1.

    Args:
        schedule: what is warmed up.
        type: shape of the factor.
        warmup_steps: W; 0 is no warm-up.
        ratio: factor at step 0, above 0, up to 1.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> warm = with_warmup(constant(), warmup_steps=4, ratio=0.2)
        >>> [round(warm(step, 100), 3) for step in range(5)]
        [0.2, 0.4, 0.6, 0.8, 1.0]
    """
    known = type in {"constant", "linear", "exp"}
    _check(
        "warmup",
        {
            "type": None if known else f"must be 'constant', 'linear' or 'exp', got {type!r}",
            "warmup_steps": None if warmup_steps >= 0 else f"must not be negative, got {warmup_steps!r}",
            "ratio": None if 0 < ratio <= 1 else f"must be above 0, up to 1, got {ratio!r}",
        },
    )
    return _Warmup(schedule, type, warmup_steps, ratio)


def _initial_momentum(optimizer: Optimizer, group: dict[str, Any]) -> float:
    """Momentum, or the first beta, before any schedule; remembered in the group."""
    if "initial_momentum" not in group:
        value = group.get("momentum") or (group["betas"][0] if "betas" in group else 0.0)
        if not value:
            message = (
                f"{type(optimizer).__name__} has no momentum to schedule; set optim.momentum, or leave schedule.momentum out"
            )
            raise ConfigError([Problem("schedule.momentum", message)])
        group["initial_momentum"] = value
    initial: float = group["initial_momentum"]
    return initial


def apply_schedule(optimizer: Optimizer, lr_multiplier: float, momentum_multiplier: float | None = None) -> None:
    """Set every group's learning rate, and if asked its momentum, to a multiple of its initial value.

    Args:
        optimizer: its groups' ``initial_lr`` is used; where that is absent, the present rate becomes it.
        lr_multiplier: of the learning rate.
        momentum_multiplier: of ``momentum``, or of ``betas[0]``; None leaves it.

    Raises:
        ConfigError: a momentum is asked for and the optimizer has none.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> apply_schedule(optimizer, 0.5)
        >>> optimizer.param_groups[0]["lr"]
        0.05
    """
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * lr_multiplier
        if momentum_multiplier is None:
            continue
        momentum = _initial_momentum(optimizer, group) * momentum_multiplier
        group.update({"betas": (momentum, *group["betas"][1:])} if "betas" in group else {"momentum": momentum})


#: Schedules by the name that a config uses: ``(**own) -> Schedule``.
SCHEDULES: Mapping[str, Callable[..., Schedule]] = MappingProxyType({"constant": constant, "cosine": cosine, "poly": poly})
