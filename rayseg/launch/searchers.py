"""Words to Tune objects: searchers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher as TuneSearcher

import ray
from rayseg.config import read_config_file
from rayseg.engine.history import History
from rayseg.launch.objectives import derived
from rayseg.launch.request import LEARNING, Searcher
from rayseg.launch.run import stopped_by
from rayseg.launch.spans import SPANS, loop_seconds
from rayseg.launch.summary import EndedTrial
from rayseg.launch.trial import fault_of, trial_directory
from rayseg.launch.whereabouts import Here
from rayseg.space import Asker, KnownTrial, OptunaAsker, Space, grid_points, random_points, recovered

__all__ = ["AskedSearch", "Point", "make_asker", "make_points", "tell_ended"]

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
        first: the point; whatever its score says, nothing is learnt from it. None: there is none.
        then: chooses all others.
        metrics: what it is told, in its order.
        mode: of the first.
        total_steps: of a trial that was not ended early.
        directory: of the sweep, with what its trials wrote.
    """

    def __init__(
        self, first: Point | None, then: Asker, metrics: Sequence[str], mode: str, total_steps: int, directory: str
    ) -> None:
        super().__init__(metric=metrics[0], mode=mode)
        self._first = first
        self._then = then
        self._metrics = tuple(metrics)
        self._total_steps = total_steps
        self._directory = Here(directory)
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next point, or that there is none."""
        if self._first is not None:
            point, self._first = self._first, None
            return {"point": point}
        found = self._then.ask()
        if found is None:
            return str(self.FINISHED)
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
        scores, step = _judged(place, last, self._metrics, self._total_steps)
        self._then.tell(number, None if error else scores, step=step)

    def save(self, checkpoint_path: str) -> None:
        """Keep everything, so that an interrupted sweep goes on."""
        Path(checkpoint_path).write_bytes(ray.cloudpickle.dumps(self.__dict__))

    def restore(self, checkpoint_path: str) -> None:
        """Go on from what was kept."""
        self.__dict__.update(ray.cloudpickle.loads(Path(checkpoint_path).read_bytes()))


def tell_ended(asker: OptunaAsker, space: Space, trial: EndedTrial, metrics: Sequence[str], total_steps: int) -> None:
    """Tell a searcher of a trial that another one proposed; nothing is learnt from the baseline, or from one without scores.

    Args:
        asker: learns.
        space: what is searched.
        trial: that has ended.
        metrics: what it is told, in its order.
        total_steps: of a trial that was not ended early.
    """
    written, rows = trial.directory / "config.yaml", History(trial.directory / "metrics.jsonl").rows()
    found = recovered(space, read_config_file(written)) if written.is_file() else None
    if trial.point.get("baseline") or found is None:
        return
    last = {"step": rows[-1][0], **rows[-1][1]} if rows else {}
    scores, step = _judged(trial.directory, last, metrics, total_steps)
    asker.learn(found[1], None if trial.fault else scores, step=step)


def _judged(
    place: Path, last: Mapping[str, Any], metrics: Sequence[str], total_steps: int
) -> tuple[list[float] | None, int | None]:
    """Scores of a trial's last evaluation, None where it failed or lacks one; and at which step it was ended early."""
    step = last.get("step", 0)
    told = {**last, **derived(last, step, loop_seconds(place / SPANS))}
    scored = fault_of(place) is None and all(metric in told for metric in metrics)
    whole = step >= total_steps or stopped_by(place) is not None
    return [float(told[metric]) for metric in metrics] if scored else None, None if whole else step
