"""The one schedule with state: it falls when a score of the validation split has stopped to improve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rayseg.optim.schedules._arguments import at_least, refuse, within

__all__ = ["Plateau", "plateau", "plateau_in"]


@dataclass
class Plateau:
    """A schedule that is told the score after each evaluation; made by :func:`plateau`."""

    monitor: str
    mode: Literal["max", "min"]
    factor: float
    patience: int
    threshold: float
    threshold_mode: Literal["rel", "abs"]
    cooldown: int
    floor: float
    multiplier: float = field(default=1.0, init=False)
    best: float | None = field(default=None, init=False)
    num_bad: int = field(default=0, init=False)
    cooling: int = field(default=0, init=False)

    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        """What the falls so far have left of the initial value."""
        return self.multiplier

    def observe(self, score: float) -> None:
        """Take one evaluation's score; the same on every rank. NaN counts as no improvement."""
        if self._improves(score):
            self.best, self.num_bad = score, 0
        else:
            self.num_bad += 1
        if self.cooling > 0:
            self.cooling, self.num_bad = self.cooling - 1, 0
        if self.num_bad > self.patience:
            self.multiplier = max(self.multiplier * self.factor, self.floor)
            self.cooling, self.num_bad = self.cooldown, 0

    def _improves(self, score: float) -> bool:
        if self.best is None:
            return not math.isnan(score)
        margin = self.threshold if self.mode == "max" else -self.threshold
        needed = self.best * (1 + margin) if self.threshold_mode == "rel" else self.best + margin
        return score > needed if self.mode == "max" else score < needed

    def state_dict(self) -> dict[str, Any]:
        """What it has seen, as plain values."""
        return {"multiplier": self.multiplier, "best": self.best, "num_bad": self.num_bad, "cooling": self.cooling}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.multiplier, self.best = state["multiplier"], state["best"]
        self.num_bad, self.cooling = state["num_bad"], state["cooling"]


def plateau(
    *,
    monitor: str = "val/mIoU",
    mode: Literal["max", "min"] = "max",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    floor: float = 0.0,
) -> Plateau:
    """Multiply by ``factor`` when a score has not improved for more than ``patience`` evaluations: ``ReduceLROnPlateau``.

    As in torch, but for the floor, which is a ratio of the initial value, and its ``eps``, which is not there.

    Args:
        monitor: name of the score, such as val/mIoU or val/loss.
        mode: whether more or less of it is better.
        factor: above 0, below 1.
        patience: evaluations without improvement that are borne.
        threshold: what counts as an improvement: a share of the best score (rel), or a distance from it (abs).
        threshold_mode: rel or abs.
        cooldown: evaluations after a fall that are not counted.
        floor: ratio of the initial value, 0 to 1.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> schedule = plateau(patience=0, factor=0.5)
        >>> for score in (0.3, 0.2, 0.4, 0.4):
        ...     schedule.observe(score)
        >>> schedule(0, 100)
        0.25
    """
    modes = None if mode in {"max", "min"} else f"must be 'max' or 'min', got {mode!r}"
    kinds = None if threshold_mode in {"rel", "abs"} else f"must be 'rel' or 'abs', got {threshold_mode!r}"
    wrong = {
        "mode": modes,
        "factor": None if 0 < factor < 1 else f"must be above 0, below 1, got {factor!r}",
        "patience": at_least(patience, 0),
        "threshold": at_least(threshold, 0),
        "threshold_mode": kinds,
        "cooldown": at_least(cooldown, 0),
        "floor": within(floor, 0, 1),
    }
    refuse("plateau", wrong)
    return Plateau(monitor, mode, factor, patience, threshold, threshold_mode, cooldown, floor)


def plateau_in(schedule: Any) -> Plateau | None:
    """The plateau that a schedule is, or that it warms up; None for any other.

    Example:
        >>> from rayseg.optim import with_warmup
        >>> plateau_in(with_warmup(plateau(factor=0.5), warmup_steps=5)).factor
        0.5
    """
    if isinstance(schedule, Plateau):
        return schedule
    inner = getattr(schedule, "schedule", None)
    return None if inner is None else plateau_in(inner)
