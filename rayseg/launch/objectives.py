"""What a search may be judged by besides the metrics of an evaluation: its worst class, and the time of a step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rayseg.errors import ConfigError, Problem

__all__ = ["DERIVED", "Objective", "derived", "read_objectives"]

#: A metric, and whether more or less of it is better.
Objective = tuple[str, Literal["max", "min"]]

#: Names that are made of what was measured, with their directions.
DERIVED: Mapping[str, Literal["max", "min"]] = {"val/worst_IoU": "max", "perf/step_s": "min"}


def derived(metrics: Mapping[str, Any], step: int, seconds: float | None) -> dict[str, float]:
    """Objectives that are made of the last evaluation of a trial and of how long it took.

    Args:
        metrics: of the evaluation.
        step: at which it was.
        seconds: that its loop took until then, evaluations included; None: not known.

    Example:
        >>> derived({"val/IoU/road": 0.9, "val/IoU/pole": 0.3}, step=10, seconds=5.0)
        {'val/worst_IoU': 0.3, 'perf/step_s': 0.5}
    """
    classes = [float(value) for name, value in metrics.items() if name.startswith("val/IoU/") and not math.isnan(value)]
    worst = {"val/worst_IoU": min(classes)} if classes else {}
    return {**worst, **({"perf/step_s": seconds / step} if step and seconds is not None else {})}


def read_objectives(metric: str | Sequence[str], mode: str | Sequence[str] | None, first: Objective) -> tuple[Objective, ...]:
    """Objectives with their directions, the one that ranks first.

    Args:
        metric: one name, or several.
        mode: ``max`` or ``min`` of each; None: as it is better, the base's for the base's metric.
        first: metric and direction of the base.

    Raises:
        ConfigError: there are more directions than names, or a name comes twice.

    Example:
        >>> read_objectives(["val/mIoU", "perf/step_s"], None, ("val/mIoU", "max"))
        (('val/mIoU', 'max'), ('perf/step_s', 'min'))
    """
    names = [metric] if isinstance(metric, str) else list(metric)
    ways = [None] * len(names) if mode is None else [mode] if isinstance(mode, str) else list(mode)
    if len(ways) != len(names) or len(set(names)) != len(names) or not names:
        told = f"got {names} and mode {mode!r}; give different metrics, and one max or min for each, or no mode"
        raise ConfigError([Problem("metric", told)], where="sweep")
    return tuple((name, _way(name, way, first)) for name, way in zip(names, ways, strict=True))


def _way(name: str, way: str | None, first: Objective) -> Literal["max", "min"]:
    if way is None:
        way = DERIVED.get(name) or (first[1] if name == first[0] else "min" if "loss" in name else "max")
    if way not in {"max", "min"}:
        raise ConfigError([Problem("mode", f"got {way!r}; expected max or min")], where="sweep")
    return "max" if way == "max" else "min"
