"""What every schedule is: its type, the refusal of senseless arguments, and two ways from one value to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

from rayseg.errors import ConfigError, Problem

__all__ = [
    "Curve",
    "HasFaults",
    "Schedule",
    "above",
    "at_least",
    "curve_fault",
    "faults_of",
    "from_to",
    "progress",
    "refuse",
    "within",
]

#: ``(step, total_steps) -> multiplier``.
Schedule = Callable[[int, int], float]
#: How a value moves to another: on half a cosine, or on a line.
Curve = Literal["cos", "linear"]


@runtime_checkable
class HasFaults(Protocol):
    """A schedule whose arguments may have no meaning in a run of some length."""

    def faults(self, total_steps: int) -> Mapping[str, str]:
        """Argument -> what is wrong with it in a run of that length."""
        ...


def faults_of(schedule: Any, total_steps: int) -> dict[str, str]:
    """Argument -> what is wrong with it in a run of ``total_steps``; empty for a schedule that cannot tell.

    Example:
        >>> from rayseg.optim import step
        >>> faults_of(step(milestones=(5, 20)), 10)
        {'milestones': 'step 20 is not in a run of 10 steps; give less, or leave it out'}
    """
    return dict(schedule.faults(total_steps)) if isinstance(schedule, HasFaults) else {}


def refuse(where: str, wrong: Mapping[str, str | None]) -> None:
    """Raise every fault of the arguments at once.

    Raises:
        ConfigError: with each argument whose message is not None.
    """
    if problems := [Problem(path, message) for path, message in wrong.items() if message]:
        raise ConfigError(problems, where)


def within(value: float, low: float, high: float) -> str | None:
    """What is wrong with a value that must lie in a closed range."""
    return None if low <= value <= high else f"must be from {low:g} to {high:g}, got {value!r}"


def above(value: float, low: float) -> str | None:
    """What is wrong with a value that must be larger than ``low``."""
    return None if low < value < math.inf else f"must be {'positive' if low == 0 else f'above {low:g}'}, got {value!r}"


def at_least(value: float, low: float) -> str | None:
    """What is wrong with a value that must not be smaller than ``low``."""
    return None if low <= value < math.inf else f"must be at least {low:g}, got {value!r}"


def curve_fault(curve: str) -> str | None:
    """What is wrong with the name of a curve."""
    return None if curve in {"cos", "linear"} else f"must be 'cos' or 'linear', got {curve!r}"


def progress(step: int, total_steps: int, *, reach: bool = False) -> float:
    """Fraction that is over, 0 to 1: ``step / total``, or ``step / (total - 1)`` so that the last step has 1."""
    last = total_steps - 1 if reach else total_steps
    return 1.0 if last <= 0 else min(max(step / last, 0.0), 1.0)


def from_to(start: float, end: float, fraction: float, curve: Curve = "cos") -> float:
    """Between two values; at 0 the first, at 1 the second.

    Example:
        >>> from_to(1.0, 0.0, 0.25, "linear"), from_to(1.0, 0.0, 0.5, "cos")
        (0.75, 0.5)
    """
    if curve == "linear":
        return start + (end - start) * fraction
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
