"""Words to Tune objects: searchers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher as TuneSearcher

import ray
from rayseg.launch.objectives import derived
from rayseg.launch.request import LEARNING, Searcher
from rayseg.launch.run import stopped_by
from rayseg.launch.spans import SPANS, loop_seconds
from rayseg.launch.trial import fault_of, trial_directory
from rayseg.space import Asker, KnownTrial, OptunaAsker, Space, grid_points, random_points

__all__ = ["AskedSearch", "Point", "make_asker", "make_points"]

#: Dotted config key -> value; ``baseline: True`` marks trial 0.
Point = dict[str, Any]


def make_points(searcher: Searcher, space: Space, num_samples: int, seed: int, baseline: Mapping[str, Any]) -> list[Point]:
    """Points of a random or grid search, the baseline first; the baseline alone where the searcher chooses as it goes."""
    first = {**baseline, "baseline": True}
    if searcher in LEARNING:
        return [first]
    return [first, *(grid_points(space) if searcher == "grid" else random_points(space, num_samples, seed))]


def make_asker(
    searcher: Searcher, space: Space, seed: int, modes: Sequence[str], known: Sequence[KnownTrial] = ()
) -> Asker | None:
    """What chooses points by scores; None where the points are known beforehand."""
    return OptunaAsker(space, modes, seed, searcher, known) if searcher in {"optuna", "gp"} else None


class AskedSearch(TuneSearcher):
    """One given point, then those that are asked for.

    Args:
        first: the point; whatever its score says, nothing is learnt from it.
        then: chooses all others.
        metrics: what it is told, in its order.
        mode: of the first.
        total_steps: of a trial that was not ended early.
        directory: of the sweep, with what its trials wrote.
    """

    def __init__(self, first: Point, then: Asker, metrics: Sequence[str], mode: str, total_steps: int, directory: str) -> None:
        super().__init__(metric=metrics[0], mode=mode)
        self._first: Point | None = first
        self._then = then
        self._metrics = tuple(metrics)
        self._total_steps = total_steps
        self._directory = directory
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next point."""
        if self._first is not None:
            point, self._first = self._first, None
            return {"point": point}
        found = self._then.ask()
        if found is None:
            return None
        self._numbers[trial_id], point = found
        return {"point": point}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """An evaluation: the last one counts."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The end of a trial; one with a fault or without a score has failed, one that stopped itself is whole."""
        number = self._numbers.pop(trial_id, None)
        if number is None:
            return
        last, place = result or {}, trial_directory(self._directory, trial_id, {})
        step = last.get("step", 0)
        told = {**last, **derived(last, step, loop_seconds(place / SPANS))}
        failed = error or fault_of(place) is not None
        scored = not failed and all(metric in told for metric in self._metrics)
        scores = [float(told[metric]) for metric in self._metrics] if scored else None
        whole = step >= self._total_steps or stopped_by(place) is not None
        self._then.tell(number, scores, step=None if whole else step)

    def save(self, checkpoint_path: str) -> None:
        """Keep everything, so that an interrupted sweep goes on."""
        Path(checkpoint_path).write_bytes(ray.cloudpickle.dumps(self.__dict__))

    def restore(self, checkpoint_path: str) -> None:
        """Go on from what was kept."""
        self.__dict__.update(ray.cloudpickle.loads(Path(checkpoint_path).read_bytes()))
