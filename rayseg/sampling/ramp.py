"""A number that changes over a run: a pure function of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from rayseg.errors import ConfigError, Problem

__all__ = ["SHAPES", "Ramp", "Shape"]

Shape = Literal["linear", "cosine", "poly", "exp"]
#: Ways from one value to the other.
SHAPES: tuple[Shape, ...] = get_args(Shape)


@dataclass(frozen=True)
class Ramp:
    """From one value to another between two steps, and constant before and after.

    With p the share of the way that is behind, the value is ``to + (first - to) * left``, where left is ``1 - p`` (linear),
    ``(1 + cos(pi p)) / 2`` (cosine) or ``(1 - p)^power`` (poly); ``exp`` has equal ratios in equal times. Counts stay counts:
    between two whole numbers the value is rounded to the nearest one.

    Args:
        first: value up to step ``begin``.
        to: value from step ``end`` on.
        begin: optimizer step.
        end: optimizer step, after ``begin``.
        shape: of the way between them.
        power: of ``poly``; 1 is a straight line.

    Raises:
        ConfigError: ``begin`` is not before ``end``, or a number is out of range.

    Example:
        >>> ramp = Ramp(1.0, 0.5, begin=10, end=20)
        >>> [ramp(step) for step in (0, 10, 15, 20, 99)]
        [1.0, 1.0, 0.75, 0.5, 0.5]
        >>> Ramp(100, 10, begin=0, end=2, shape="exp")(1)
        32
    """

    first: float
    to: float
    begin: int
    end: int
    shape: Shape = "linear"
    power: float = 0.9

    def __post_init__(self) -> None:
        problems = []
        if not 0 <= self.begin < self.end:
            problems.append(Problem("begin", f"step {self.begin} is not before the end, step {self.end}; give less"))
        if self.shape == "exp" and not (self.first > 0 and self.to > 0):
            problems.append(Problem("shape", f"exp needs both ends above 0, got {self.first} and {self.to}; use linear"))
        if self.power <= 0:
            problems.append(Problem("power", f"must be positive, got {self.power!r}"))
        if problems:
            raise ConfigError(problems, "schedule of an argument")

    def __call__(self, step: int) -> float:
        """Value at a step; an int where both ends are."""
        if step <= self.begin:
            return self.first
        if step >= self.end:
            return self.to
        value = self._between((step - self.begin) / (self.end - self.begin))
        return round(value) if isinstance(self.first, int) and isinstance(self.to, int) else value

    def _between(self, progress: float) -> float:
        if self.shape == "exp":
            return math.pow(self.first, 1 - progress) * math.pow(self.to, progress)
        left = 1 - progress
        if self.shape == "cosine":
            left = (1 + math.cos(math.pi * progress)) / 2
        elif self.shape == "poly":
            left = math.pow(1 - progress, self.power)
        return self.to + (self.first - self.to) * left
