"""Words to Tune objects: searchers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher as TuneSearcher

from rayseg.config import read_config_file
from rayseg.engine.history import History
from rayseg.launch.ledger import Ledger, trial_name
from rayseg.launch.objectives import derived
from rayseg.launch.request import LEARNING, Searcher
from rayseg.launch.run import stopped_by
from rayseg.launch.spans import SPANS, loop_seconds
from rayseg.launch.summary import EndedTrial
from rayseg.launch.trial import fault_of, trial_directory
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
    """One given point, then those that are asked for, each with a name that is written down before its trial begins.

    Args:
        first: the point; whatever its score says, nothing is learnt from it. None: there is none.
        then: chooses all others.
        metrics: what it is told, in its order.
        mode: of the first.
        total_steps: of a trial that was not ended early.
        ledger: of this part of the sweep.
        numbers: of its trials in the sweep.
    """

    def __init__(
        self,
        first: Point | None,
        then: Asker,
        metrics: Sequence[str],
        mode: str,
        total_steps: int,
        ledger: Ledger,
        numbers: range,
    ) -> None:
        super().__init__(metric=metrics[0], mode=mode)
        self._metrics = tuple(metrics)
        self._total_steps = total_steps
        self._ledger = ledger
        self._numbers = numbers
        self._first = first
        self._then = then
        self._given: dict[str, Point] = {}
        self._asked: dict[str, int] = {}  # of those whose ends were not told yet, the asker's own numbers
        self._finished = False
        self._again: list[str] = []
        self._names: dict[str, str] = {}

    def go_on(self, *, failed_too: bool = False) -> None:
        """Believe what was kept; trials without an end are handed out again.

        Args:
            failed_too: also those whose process died for good.
        """
        self.__dict__.update(self._ledger.kept())
        died = {name for name in self._given if self._ledger.death(name) is not None} if failed_too else set()
        self._again = [name for name in self._given if name in died or not self._ledger.has_ended(name)]
        for name in self._again:
            self._ledger.reopen(name, trial_directory(self._ledger.directory, self._given[name]))
        for name in self._asked.keys() - set(self._again):
            self._tell(name)
        self._keep()

    @property
    def over(self) -> bool:
        """Whether no trial is left to be run."""
        return not self._again and (self._finished or len(self._given) >= len(self._numbers))

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next point, or that there is none."""
        name = self._again.pop(0) if self._again else self._next()
        if name is None:
            return str(self.FINISHED)
        self._names[trial_id] = name
        return {"point": self._given[name]}

    def _next(self) -> str | None:
        """The name of a new trial; None where there is none."""
        number = None
        point, self._first = self._first, None
        if point is None and not self.over:
            number, point = self._then.ask() or (None, None)
        self._finished = point is None
        name = None
        if point is not None:
            name = trial_name(self._ledger.directory.name, self._numbers[len(self._given)], point)
            self._given[name] = {**point, "trial": name}
            self._asked.update({} if number is None else {name: number})
        self._keep()
        return name

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """An evaluation: the last one counts."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:  # noqa: ARG002
        """The end of a trial; one with a fault or without a score has failed, one that stopped itself is whole."""
        name = self._names[trial_id]
        self._ledger.end(name, failed=error)
        self._tell(name)
        self._keep()

    def _tell(self, name: str) -> None:
        number = self._asked.pop(name, None)
        if number is not None:
            place = trial_directory(self._ledger.directory, self._given[name])
            scores, step = _judged(place, self._metrics, self._total_steps)
            self._then.tell(number, None if self._ledger.death(name) is not None else scores, step=step)

    def _keep(self) -> None:
        self._ledger.keep({key: self.__dict__[key] for key in ("_first", "_then", "_given", "_asked", "_finished")})

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see :meth:`go_on`."""


def tell_ended(asker: OptunaAsker, space: Space, trial: EndedTrial, metrics: Sequence[str], total_steps: int) -> None:
    """Tell a searcher of a trial that another one proposed; nothing is learnt from the baseline, or from one without scores.

    Args:
        asker: learns.
        space: what is searched.
        trial: that has ended.
        metrics: what it is told, in its order.
        total_steps: of a trial that was not ended early.
    """
    written = trial.directory / "config.yaml"
    found = recovered(space, read_config_file(written)) if written.is_file() else None
    if trial.point.get("baseline") or found is None:
        return
    scores, step = _judged(trial.directory, metrics, total_steps)
    asker.learn(found[1], None if trial.fault else scores, step=step)


def _judged(place: Path, metrics: Sequence[str], total_steps: int) -> tuple[list[float] | None, int | None]:
    """Scores of a trial's last evaluation, None where it failed or lacks one; and at which step it was ended early."""
    rows = History(place / "metrics.jsonl").rows()
    step, last = rows[-1] if rows else (0, {})
    told = {**last, **derived(last, step, loop_seconds(place / SPANS))}
    scored = fault_of(place) is None and all(metric in told for metric in metrics)
    whole = step >= total_steps or stopped_by(place) is not None
    return [float(told[metric]) for metric in metrics] if scored else None, None if whole else step
