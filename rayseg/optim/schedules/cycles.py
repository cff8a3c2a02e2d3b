"""Schedules that go up and down: cycles, and cosines that start anew."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from rayseg.optim.schedules._arguments import Curve, Schedule, above, at_least, curve_fault, from_to, refuse, within

__all__ = ["cosine_restarts", "cyclic", "one_cycle", "triangular"]


@dataclass(frozen=True)
class _Cyclic:
    peak: float
    end: float
    cycles: int
    rise: float
    curve: Curve
    gamma: float

    def __call__(self, step: int, total_steps: int) -> float:
        period = max(total_steps // self.cycles, 1)
        up, (cycle, at) = int(self.rise * period), divmod(step, period)
        height = self.gamma**cycle
        top = 1 - height + height * self.peak
        if at < up:
            return from_to(1.0, top, at / up, self.curve)
        return from_to(top, self.end, (at - up) / (period - up), self.curve)

    def faults(self, total_steps: int) -> dict[str, str]:
        """More cycles than steps."""
        period = total_steps // self.cycles
        if period >= 2 and int(self.rise * period) >= 1:
            return {}
        return {"cycles": f"{self.cycles} in {total_steps} steps leaves none of them a step to rise; give fewer"}


@dataclass(frozen=True)
class _OneCycle:
    start: float
    peak: float
    end: float
    rise: float
    curve: Curve
    three_phase: bool

    def __call__(self, step: int, total_steps: int) -> float:
        turn, last = self.rise * total_steps - 1, float(total_steps - 1)
        turns = [turn, 2 * turn, last] if self.three_phase else [turn, last]
        values = [self.start, self.peak, *([self.start] if self.three_phase else []), self.end]
        begin = 0.0
        for number, until in enumerate(turns[:-1]):
            if step <= until:
                return from_to(values[number], values[number + 1], (step - begin) / (until - begin), self.curve)
            begin = until
        left = 1.0 if last <= begin else min((step - begin) / (last - begin), 1.0)
        return from_to(values[-2], values[-1], left, self.curve)

    def faults(self, total_steps: int) -> dict[str, str]:
        """No step to rise, or none to fall."""
        turn = self.rise * total_steps - 1
        if turn > 0 and (2 if self.three_phase else 1) * turn < total_steps - 1:
            return {}
        return {"rise": f"{self.rise:g} of {total_steps} steps leaves no step to rise, or none to fall; change it"}


@dataclass(frozen=True)
class _Triangular:
    peak: float
    up: int
    down: int | None
    scale: Literal["constant", "halve", "exp"]
    gamma: float

    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        down = self.up if self.down is None else self.down
        cycle, at = divmod(step, self.up + down)
        height = at / self.up if at <= self.up else (self.up + down - at) / down
        match self.scale:
            case "constant":
                return 1 + (self.peak - 1) * height
            case "halve":
                return 1 + (self.peak - 1) * height * 0.5**cycle
            case "exp":
                return 1 + (self.peak - 1) * height * self.gamma**step

    def faults(self, total_steps: int) -> dict[str, str]:
        """A rise that is not over when the run is."""
        if self.up < total_steps:
            return {}
        return {"up": f"{self.up} of {total_steps} steps: the peak would never be reached; give less"}


@dataclass(frozen=True)
class _CosineRestarts:
    periods: int | tuple[int, ...]
    weights: tuple[float, ...] | None
    growth: int
    floor: float

    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        number, begin, period = self._at(step)
        weight = 1.0 if self.weights is None else self.weights[number]
        return self.floor + weight * (from_to(1.0, self.floor, min((step - begin) / period, 1.0)) - self.floor)

    def _at(self, step: int) -> tuple[int, int, int]:
        """Number, first step and length of the period that a step is in; the last one goes on."""
        if isinstance(self.periods, int):
            if self.growth == 1:
                return step // self.periods, step - step % self.periods, self.periods
            number, begin, period = 0, 0, self.periods
            while step >= begin + period:
                number, begin, period = number + 1, begin + period, period * self.growth
            return number, begin, period
        begins = list(accumulate(self.periods[:-1], initial=0))
        number = max(index for index, begin in enumerate(begins) if begin <= max(step, 0))
        return number, begins[number], self.periods[number]

    def faults(self, total_steps: int) -> dict[str, str]:
        """Periods that end before the run, or begin after it."""
        if isinstance(self.periods, int):
            never = f"{self.periods} of {total_steps} steps: there would be no restart; give less, or use cosine"
            return {"periods": never} if self.periods >= total_steps else {}
        if sum(self.periods) < total_steps:
            short = f"they end after {sum(self.periods)} of {total_steps} steps; give more, or one length that is repeated"
            return {"periods": short}
        if sum(self.periods[:-1]) >= total_steps:
            late = f"the last one begins at step {sum(self.periods[:-1])}, and the run has {total_steps} steps; leave it out"
            return {"periods": late}
        return {}


def cyclic(
    *, peak: float = 10.0, end: float = 1e-4, cycles: int = 1, rise: float = 0.4, curve: Curve = "cos", gamma: float = 1.0
) -> Schedule:
    """Cycles over the run, each from 1 up to ``peak`` and down to ``end``: mmcv's ``cyclic``.

    A cycle has ``P = total // cycles`` steps, ``U = int(rise * P)`` of them to rise. Steps that are left over begin one more.

    Args:
        peak: multiplier at the top, 0 or more (``target_ratio[0]``); below 1 for momentum: 0.85 / 0.95.
        end: multiplier that a cycle goes down to (``target_ratio[1]``).
        cycles: in the run.
        rise: share of a cycle before its top (``step_ratio_up``), above 0, below 1.
        curve: cos or linear (``anneal_strategy``).
        gamma: the top's distance from 1 is multiplied by it with each cycle, above 0, up to 1.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> [round(cyclic(curve="linear", rise=0.5)(step, 4), 2) for step in range(4)]
        [1.0, 5.5, 10.0, 5.0]
    """
    wrong = {
        "peak": at_least(peak, 0),
        "end": at_least(end, 0),
        "cycles": at_least(cycles, 1),
        "rise": _open(rise),
        "curve": curve_fault(curve),
        "gamma": above(gamma, 0) or within(gamma, 0, 1),
    }
    refuse("cyclic", wrong)
    return _Cyclic(peak, end, cycles, rise, curve, gamma)


def one_cycle(
    *,
    start: float = 0.04,
    peak: float = 1.0,
    end: float = 4e-6,
    rise: float = 0.3,
    curve: Curve = "cos",
    three_phase: bool = False,
) -> Schedule:
    """From ``start`` to ``peak`` to ``end``, once (Smith and Topin 2019): ``OneCycle`` of mmcv, ``OneCycleLR`` of torch.

    ``optim.lr`` is torch's ``max_lr``, ``start`` is ``1 / div_factor``, ``end`` is ``start / final_div_factor``. Momentum has
    its twin: ``start: 1, peak: 0.85 / 0.95, end: 1``. As in torch the turn is at ``rise * total - 1``.

    Args:
        start: multiplier at step 0, 0 or more.
        peak: multiplier at the turn.
        end: multiplier of the last step.
        rise: share of the run before the turn (``pct_start``), above 0, below 1.
        curve: cos or linear (``anneal_strategy``).
        three_phase: go back to ``start`` as long as it rose, and only then to ``end``.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> [round(one_cycle(curve="linear")(step, 10), 3) for step in (0, 1, 2, 9)]
        [0.04, 0.52, 1.0, 0.0]
    """
    half = "must be below 0.5 with three_phase, which falls as long as it rises" if three_phase and rise >= 0.5 else None
    wrong = {
        "start": at_least(start, 0),
        "peak": at_least(peak, 0),
        "end": at_least(end, 0),
        "rise": _open(rise) or half,
        "curve": curve_fault(curve),
    }
    refuse("one_cycle", wrong)
    return _OneCycle(start, peak, end, rise, curve, three_phase)


def triangular(
    *,
    peak: float,
    up: int,
    down: int | None = None,
    scale: Literal["constant", "halve", "exp"] = "constant",
    gamma: float = 1.0,
) -> Schedule:
    """From 1 up to ``peak`` and back to 1, again and again (Smith 2017): torch's ``CyclicLR``.

    ``optim.lr`` is torch's ``base_lr``, ``peak`` is ``max_lr / base_lr``. Momentum has its twin: ``peak`` is
    ``base_momentum / max_momentum``.

    Args:
        peak: multiplier at the top, 0 or more.
        up: steps to the top (``step_size_up``).
        down: steps back (``step_size_down``); None: as many.
        scale: of the height: constant, half of it with each cycle (``triangular2``), or ``gamma^step`` (``exp_range``).
        gamma: above 0, up to 1; only with ``exp``.

    Raises:
        ConfigError: an argument is out of range, or has no use.

    Example:
        >>> [triangular(peak=3.0, up=2)(step, 8) for step in range(6)]
        [1.0, 2.0, 3.0, 2.0, 1.0, 2.0]
    """
    known = None if scale in {"constant", "halve", "exp"} else f"must be 'constant', 'halve' or 'exp', got {scale!r}"
    unused = f"has no use with scale {scale!r}; remove it, or set scale to 'exp'" if gamma != 1 and scale != "exp" else None
    wrong = {
        "peak": at_least(peak, 0),
        "up": at_least(up, 1),
        "down": None if down is None else at_least(down, 1),
        "scale": known,
        "gamma": above(gamma, 0) or within(gamma, 0, 1) or unused,
    }
    refuse("triangular", wrong)
    return _Triangular(peak, up, down, scale, gamma)


def cosine_restarts(
    *, periods: int | tuple[int, ...], weights: tuple[float, ...] | None = None, growth: int = 1, floor: float = 0.0
) -> Schedule:
    """Cosines from 1 to ``floor`` that start anew (Loshchilov and Hutter 2017, "SGDR").

    With a list of periods mmcv's ``CosineRestart``; with one period torch's ``CosineAnnealingWarmRestarts``.

    Args:
        periods: steps of each cosine; or of the first one, which is repeated (``T_0``).
        weights: height of each cosine (``restart_weights``), with a list of periods; None: 1.
        growth: each period is as many times as long as the one before (``T_mult``), with one period.
        floor: ratio of the initial value, 0 to 1.

    Raises:
        ConfigError: an argument is out of range, or has no use.

    Example:
        >>> [round(cosine_restarts(periods=2, growth=2)(step, 8), 2) for step in range(7)]
        [1.0, 0.5, 1.0, 0.85, 0.5, 0.15, 1.0]
    """
    listed = isinstance(periods, tuple | list)
    lengths = tuple(periods) if isinstance(periods, tuple | list) else (periods,)
    unlisted = None if weights is None or listed else "belong to a list of periods; give one, or remove them"
    uneven = (
        f"{len(weights)} for {len(lengths)} periods; give one for each" if weights and len(weights) != len(lengths) else None
    )
    wrong = {
        "periods": None if lengths and min(lengths) >= 1 else f"must be steps from 1, got {periods!r}",
        "weights": unlisted or uneven or ("must not be negative" if weights and min(weights) < 0 else None),
        "growth": at_least(growth, 1)
        or ("belongs to one period that is repeated; remove it" if listed and growth != 1 else None),
        "floor": within(floor, 0, 1),
    }
    refuse("cosine_restarts", wrong)
    return _CosineRestarts(lengths if listed else lengths[0], None if weights is None else tuple(weights), growth, floor)


def _open(rise: float) -> str | None:
    return None if 0 < rise < 1 else f"must be above 0, below 1, got {rise!r}"
