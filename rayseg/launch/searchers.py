"""Words to Tune objects: searchers and schedulers."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from typing import Any, Literal

import ray.tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher as TuneSearcher

from rayseg.build import Components, plan_of
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError, Problem
from rayseg.space import Choice, Dimension, IntUniform, LogUniform, Space, Uniform, grid_points, random_points

__all__ = ["Scheduler", "Searcher", "make_points", "make_scheduler", "make_search"]

Searcher = Literal["random", "grid", "optuna"]
Scheduler = Literal["asha"]

#: A trial of ASHA goes on if it is among the best 1/3 that came as far.
_REDUCTION = 3


def make_points(
    searcher: Searcher, space: Space, num_samples: int, seed: int, baseline: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Points of a random or grid search, the baseline first; empty where the searcher chooses as it goes."""
    if searcher == "optuna":
        return []
    found = grid_points(space) if searcher == "grid" else random_points(space, num_samples, seed)
    return [{**(baseline or {}), "baseline": True}, *found]


def make_search(searcher: Searcher, space: Space, seed: int, metric: str, mode: str) -> TuneSearcher | None:
    """Tune's searcher, or None where the points are known beforehand.

    Raises:
        ConfigError: the package that it needs is not installed.
    """
    if searcher != "optuna":
        return None
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError([Problem("searcher", "'optuna' is not installed; pip install 'rayseg[optuna]'")], where="sweep")
    from ray.tune.search.optuna import OptunaSearch  # noqa: PLC0415  an optional package

    search: TuneSearcher = OptunaSearch(
        space={key: _to_tune(dimension) for key, dimension in space.items()}, metric=metric, mode=mode, seed=seed
    )
    return search


def make_scheduler(
    scheduler: Scheduler | None, config: ExperimentConfig, grace_steps: int | None, components: Components
) -> ASHAScheduler | None:
    """ASHA over optimizer steps, or None: every trial runs to its end."""
    if scheduler is None:
        return None
    plan = plan_of(config, components)
    first = grace_steps or plan.eval_every * max(1, math.ceil(plan.total_steps / 5 / plan.eval_every))
    return ASHAScheduler(
        time_attr="step", max_t=max(plan.total_steps, 2), grace_period=min(first, plan.total_steps), reduction_factor=_REDUCTION
    )


def _to_tune(dimension: Dimension) -> Any:
    if isinstance(dimension, Choice):
        return ray.tune.choice(list(dimension.values))
    if isinstance(dimension, Uniform):
        return ray.tune.uniform(dimension.low, dimension.high)
    if isinstance(dimension, LogUniform):
        return ray.tune.loguniform(dimension.low, dimension.high)
    if isinstance(dimension, IntUniform):
        return ray.tune.randint(dimension.low, dimension.high + 1)
    raise ConfigError([Problem("", f"{dimension} is not a dimension that Optuna knows")], where="search space")
