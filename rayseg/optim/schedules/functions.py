"""Schedules from a user's own function of a count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rayseg.optim.schedules._arguments import Schedule, at_least, refuse

__all__ = ["from_function", "multiplicative"]

Factor = Callable[[int], float]


@dataclass(frozen=True)
class _Function:
    function: Factor
    every: int

    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        return float(self.function(step // self.every))


@dataclass(frozen=True)
class _Multiplicative:
    function: Factor
    every: int
    _products: list[float] = field(default_factory=lambda: [1.0], compare=False, repr=False)

    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        count = step // self.every
        while len(self._products) <= count:
            self._products.append(self._products[-1] * float(self.function(len(self._products))))
        return self._products[count]


def from_function(function: Callable[[int], float], *, every: int = 1) -> Schedule:
    """``function(step // every)``: torch's ``LambdaLR``.

    Args:
        function: of a count from 0 to the multiplier; it must depend on nothing else.
        every: steps that count as one; an epoch's steps make it a function of the epoch.

    Raises:
        ConfigError: ``every`` is below 1.

    Example:
        >>> from_function(lambda epoch: 0.5**epoch, every=10)(25, 100)
        0.25
    """
    refuse("lambda", {"every": at_least(every, 1)})
    return _Function(function, every)


def multiplicative(function: Callable[[int], float], *, every: int = 1) -> Schedule:
    """The product of ``function(1) ... function(step // every)``: torch's ``MultiplicativeLR``.

    Args:
        function: of a count from 1 to a factor; it must depend on nothing else.
        every: steps that count as one.

    Raises:
        ConfigError: ``every`` is below 1.

    Example:
        >>> multiplicative(lambda count: 1 / count)(4, 100) * 24
        1.0
    """
    refuse("multiplicative", {"every": at_least(every, 1)})
    return _Multiplicative(function, every)
