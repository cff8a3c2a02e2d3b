"""Which of several trials no other one beats in everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

__all__ = ["on_front"]


def on_front(scores: Sequence[Sequence[float]], modes: Sequence[Literal["max", "min"]]) -> list[bool]:
    """Whether a trial is on the Pareto front: no other is as good in every objective and better in one.

    Args:
        scores: T trials, one number per objective.
        modes: of the objectives.

    Example:
        >>> on_front([(0.7, 2.0), (0.6, 1.0), (0.6, 2.0)], ["max", "min"])
        [True, True, False]
    """
    signed = [[score if mode == "max" else -score for score, mode in zip(own, modes, strict=True)] for own in scores]
    return [not any(_beats(other, own) for other in signed) for own in signed]


def _beats(other: Sequence[float], own: Sequence[float]) -> bool:
    pairs = list(zip(other, own, strict=True))
    return all(theirs >= mine for theirs, mine in pairs) and any(theirs > mine for theirs, mine in pairs)
