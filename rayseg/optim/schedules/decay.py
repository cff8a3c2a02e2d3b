"""Schedules that go from the initial value to a floor, or to another value, once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rayseg.optim.schedules._arguments import Schedule, above, at_least, from_to, progress, refuse, within

__all__ = ["constant", "cosine", "exp", "inv", "linear", "poly"]


@dataclass(frozen=True)
class _Constant:
    value: float

    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        return self.value


@dataclass(frozen=True)
class _Linear:
    start: float
    end: float
    reach: bool

    def __call__(self, step: int, total_steps: int) -> float:
        return from_to(self.start, self.end, progress(step, total_steps, reach=self.reach), "linear")


@dataclass(frozen=True)
class _Poly:
    power: float
    floor: float
    reach: bool

    def __call__(self, step: int, total_steps: int) -> float:
        left = math.pow(1 - progress(step, total_steps, reach=self.reach), self.power)
        return (1 - self.floor) * left + self.floor


@dataclass(frozen=True)
class _Cosine:
    floor: float
    flat: float
    half_period: int | None
    reach: bool

    def __call__(self, step: int, total_steps: int) -> float:
        begin = round(self.flat * total_steps)
        if step < begin:
            return 1.0
        if self.half_period is None:
            return from_to(1.0, self.floor, progress(step - begin, total_steps - begin, reach=self.reach))
        return from_to(1.0, self.floor, (step - begin) / self.half_period)


@dataclass(frozen=True)
class _Exp:
    gamma: float
    every: int
    floor: float

    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        return max(math.pow(self.gamma, step / self.every), self.floor)


@dataclass(frozen=True)
class _Inv:
    gamma: float
    power: float
    every: int
    floor: float

    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        return max(math.pow(1 + self.gamma * step / self.every, -self.power), self.floor)


def constant(*, value: float = 1.0) -> Schedule:
    """Always the same; a phase of it holds a fraction of the rate.

    Args:
        value: the multiplier, 0 or more.

    Raises:
        ConfigError: ``value`` is negative.

    Example:
        >>> constant()(7, 10)
        1.0
    """
    refuse("constant", {"value": at_least(value, 0)})
    return _Constant(value)


def linear(*, start: float = 1.0, end: float | None = None, reach: bool = False) -> Schedule:
    """``start + (end - start) * step / total``: mmcv's ``LinearAnnealing``, MMEngine's and torch's ``LinearLR``.

    Args:
        start: multiplier at step 0, 0 or more.
        end: multiplier that it goes to, 0 or more; None is 0 from a start of 1, and refused from any other: mmcv would go
            down to 0, MMEngine up to 1.
        reach: the last step has ``end`` (``step / (total - 1)``, as in MMEngine); else it is one short of it.

    Raises:
        ConfigError: a multiplier is negative, nothing would change, or where it goes to is not said.

    Example:
        >>> warm = linear(start=0.2, end=1.0, reach=True)
        >>> [round(warm(step, 5), 3) for step in range(5)]
        [0.2, 0.4, 0.6, 0.8, 1.0]
    """
    unsaid = f"not given, and start is {start:g}; say 1 to warm up to the full rate, 0 to end at nothing"
    same = f"equals start ({start:g}), so nothing would change; use constant" if start == end else None
    told = (None if start == 1 else unsaid) if end is None else at_least(end, 0) or same
    refuse("linear", {"start": at_least(start, 0), "end": told})
    return _Linear(start, end or 0.0, reach)


def poly(*, power: float = 0.9, floor: float = 0.0, reach: bool = False) -> Schedule:
    """``(1 - floor) * (1 - step / total)^power + floor``, the policy of DeepLab (Chen et al. 2017) and of mmcv's ``poly``.

    Args:
        power: above 0; 1 is a straight line.
        floor: ratio of the initial value, 0 to 1: mmcv's ``min_lr`` over the base rate.
        reach: the last step has the floor (``step / (total - 1)``, MMEngine's ``PolyLR``); else, as in mmcv, it is never
            quite reached.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> poly(power=1.0, floor=0.5)(5, 10)
        0.75
        >>> poly(floor=0.5)(9, 10) > 0.5, poly(floor=0.5, reach=True)(9, 10)
        (True, 0.5)
    """
    refuse("poly", {"power": above(power, 0), "floor": within(floor, 0, 1)})
    return _Poly(power, floor, reach)


def cosine(*, floor: float = 0.0, flat: float = 0.0, half_period: int | None = None, reach: bool = False) -> Schedule:
    """``floor + (1 - floor) * (1 + cos(pi * step / total)) / 2`` (Loshchilov and Hutter 2017, "SGDR", without restarts).

    Args:
        floor: ratio of the initial value, 0 to 1.
        flat: share of the run before the decay begins, 0 to below 1 (mmcv's ``FlatCosineAnnealing``).
        half_period: steps from 1 to the floor (``T_max`` of torch and MMEngine), after which it rises again; None: the run.
        reach: the last step has the floor; else it is one short of it.

    Raises:
        ConfigError: an argument is out of range, or two contradict each other.

    Example:
        >>> cosine()(5, 10), cosine(flat=0.5)(4, 10)
        (0.5, 1.0)
        >>> [round(cosine(half_period=2)(step, 5), 3) for step in range(5)]
        [1.0, 0.5, 0.0, 0.5, 1.0]
    """
    both = "applies to the length of the run, and half_period replaces it; give one" if reach and half_period else None
    wrong = None if half_period is None else at_least(half_period, 1)
    below = None if 0 <= flat < 1 else f"must be from 0 to below 1, got {flat!r}"
    refuse("cosine", {"floor": within(floor, 0, 1), "flat": below, "half_period": wrong, "reach": both})
    return _Cosine(floor, flat, half_period, reach)


def exp(*, gamma: float, every: int = 1, floor: float = 0.0) -> Schedule:
    """``gamma^(step / every)``: mmcv's ``exp`` and torch's ``ExponentialLR``.

    Args:
        gamma: above 0, up to 1.
        every: steps after which the value has been multiplied by ``gamma`` once.
        floor: ratio of the initial value below which it does not go.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> exp(gamma=0.5, every=10)(20, 100)
        0.25
    """
    rate = above(gamma, 0) or within(gamma, 0, 1)
    refuse("exp", {"gamma": rate, "every": at_least(every, 1), "floor": within(floor, 0, 1)})
    return _Exp(gamma, every, floor)


def inv(*, gamma: float, power: float = 1.0, every: int = 1, floor: float = 0.0) -> Schedule:
    """``(1 + gamma * step / every)^-power``: mmcv's ``inv``.

    Args:
        gamma: above 0.
        power: above 0.
        every: steps that count as one.
        floor: ratio of the initial value below which it does not go.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> inv(gamma=0.5)(2, 100)
        0.5
    """
    wrong = {"gamma": above(gamma, 0), "power": above(power, 0), "every": at_least(every, 1), "floor": within(floor, 0, 1)}
    refuse("inv", wrong)
    return _Inv(gamma, power, every, floor)
