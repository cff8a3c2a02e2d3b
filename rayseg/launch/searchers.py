"""Words to Tune objects: searchers and schedulers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray.tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher as TuneSearcher

import ray
from rayseg.engine.plan import Plan
from rayseg.errors import ConfigError, Problem
from rayseg.launch.request import Scheduler, Searcher
from rayseg.space import Choice, Dimension, IntUniform, LogUniform, Space, Uniform, grid_points, random_points

__all__ = ["FirstThen", "Point", "make_points", "make_scheduler", "make_search"]

#: Dotted config key -> value; ``baseline: True`` marks trial 0.
Point = dict[str, Any]

#: A trial of ASHA goes on if it is among the best 1/3 that came as far.
_REDUCTION = 3


def make_points(searcher: Searcher, space: Space, num_samples: int, seed: int, baseline: Mapping[str, Any]) -> list[Point]:
    """Points of a random or grid search, the baseline first; the baseline alone where the searcher chooses as it goes."""
    first = {**baseline, "baseline": True}
    if searcher == "optuna":
        return [first]
    return [first, *(grid_points(space) if searcher == "grid" else random_points(space, num_samples, seed))]


def make_search(searcher: Searcher, space: Space, seed: int, metric: str, mode: str, first: Point) -> TuneSearcher | None:
    """Tune's searcher, which begins with a point of ours; None where the points are known beforehand."""
    if searcher != "optuna":
        return None
    from ray.tune.search.optuna import OptunaSearch  # noqa: PLC0415  an optional package

    dimensions = {key: _to_tune(dimension) for key, dimension in space.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FirstThen(first, OptunaSearch(space=dimensions, metric=metric, mode=mode, seed=seed), space)


class FirstThen(TuneSearcher):
    """One given point, then those of a searcher.

    A choice is searched by its number, because Optuna knows numbers and text only.

    Args:
        first: the point; whatever it says, the searcher does not learn from it.
        then: chooses all others.
        space: whose choices are decoded.
    """

    def __init__(self, first: Point, then: TuneSearcher, space: Space) -> None:
        super().__init__(metric=then.metric, mode=then.mode)
        self._first: Point | None = first
        self._first_trial: str | None = None
        self._then = then
        self._space = space

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next point."""
        if self._first is not None:
            point, self._first, self._first_trial = self._first, None, trial_id
            return {"point": point}
        found = self._then.suggest(trial_id)
        return None if found is None else {"point": {key: self._value(key, value) for key, value in found.items()}}

    def _value(self, key: str, value: Any) -> Any:
        dimension = self._space[key]
        return dimension.values[value] if isinstance(dimension, Choice) else value

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """An evaluation."""
        if trial_id != self._first_trial:
            self._then.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The end of a trial; one without a score has failed."""
        if trial_id != self._first_trial:
            scored = bool(result) and self.metric in (result or {})
            self._then.on_trial_complete(trial_id, result if scored else None, error or not scored)

    def save(self, checkpoint_path: str) -> None:
        """Keep everything, so that an interrupted sweep goes on."""
        Path(checkpoint_path).write_bytes(ray.cloudpickle.dumps(self.__dict__))

    def restore(self, checkpoint_path: str) -> None:
        """Go on from what was kept."""
        self.__dict__.update(ray.cloudpickle.loads(Path(checkpoint_path).read_bytes()))


def make_scheduler(scheduler: Scheduler | None, plan: Plan, grace_steps: int | None) -> ASHAScheduler | None:
    """ASHA over optimizer steps, or None: every trial runs to its end, or ends by itself."""
    if scheduler != "asha":
        return None
    first = grace_steps or plan.eval_every * max(1, math.ceil(plan.total_steps / 5 / plan.eval_every))
    return ASHAScheduler(
        time_attr="step", max_t=max(plan.total_steps, 2), grace_period=min(first, plan.total_steps), reduction_factor=_REDUCTION
    )


def _to_tune(dimension: Dimension) -> Any:
    if isinstance(dimension, Choice):
        return ray.tune.choice(list(range(len(dimension.values))))
    if isinstance(dimension, Uniform):
        return ray.tune.uniform(dimension.low, dimension.high)
    if isinstance(dimension, LogUniform):
        return ray.tune.loguniform(dimension.low, dimension.high)
    if isinstance(dimension, IntUniform):
        return ray.tune.randint(dimension.low, dimension.high + 1)
    raise ConfigError([Problem("", f"{dimension} is not a dimension that Optuna knows")], where="search space")
