"""What becomes of the metrics of an evaluation: plain numbers, one of which a schedule may follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rayseg.collective import broadcast_object
from rayseg.errors import ConfigError, Problem
from rayseg.optim import Plateau

__all__ = ["number", "observe"]


def number(name: str, value: Any) -> float:
    """A metric as a plain number; hooks add numbers of any kind.

    Args:
        name: of the metric.
        value: what an evaluation or a hook gave.

    Raises:
        ConfigError: it is none.

    Example:
        >>> import torch
        >>> number("val/own", torch.tensor(0.5))
        0.5
    """
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        message = f"a hook's on_eval put a {type(value).__name__} under {name!r}; expected a number"
        raise ConfigError([Problem("hooks", message)]) from error


def observe(plateau: Plateau, metrics: Mapping[str, float]) -> None:
    """Rank 0's score on every rank: one that a hook added may differ; a collective.

    Args:
        plateau: the schedule that is told.
        metrics: of the evaluation.

    Raises:
        ConfigError: the metric that it follows is not among them.
    """
    score = broadcast_object(metrics.get(plateau.monitor))
    if score is None:
        message = (
            f"no metric is called {plateau.monitor!r}; set it to one that an evaluation gives: {', '.join(sorted(metrics))}"
        )
        raise ConfigError([Problem("schedule.monitor", message)])
    plateau.observe(score)
