"""A population under Tune: a searcher that hands out its segments, and puts a donor's checkpoint where its successor begins.

Tune's own PBT decides when a trial happens to report, from the checkpoints that happen to be stored, by the process's
generator. Here every segment is a trial that ends by itself at the comparison: weights, moments and scores that are compared
are those of one step, processes are used again between segments, and a killed sweep goes on from whole intervals.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher as TuneSearcher

import ray
from rayseg.engine.checkpoint import newest_whole, step_of
from rayseg.engine.history import History
from rayseg.engine.reporter import checkpoint_name
from rayseg.launch.desk import DeskStore, desk_of
from rayseg.launch.lineage import LINEAGE
from rayseg.launch.population import Population, Segment
from rayseg.launch.trial import fault_of, trial_directory
from rayseg.launch.watch import say_beside
from rayseg.launch.whereabouts import Here

__all__ = ["Breeder"]

#: Everything that is known of the population, for a sweep that goes on.
_STATE = "population.state"


class Breeder(TuneSearcher):
    """The baseline, then the segments of a population; those of an interval when all of the one before have ended.

    Args:
        population: at its beginning.
        first: the point of the baseline, which is no member and runs to its end.
        directory: of the sweep.
        tune: name of Tune's directory in it.
        metric: the score.
        grouped: whether trials have workers of their own, whose checkpoints lie in the trial's directory.
    """

    def __init__(
        self, population: Population, first: Mapping[str, Any], directory: str, tune: str, metric: str, *, grouped: bool
    ) -> None:
        super().__init__(metric=metric, mode=population.rules.mode)
        self._population = population
        self._first: Mapping[str, Any] | None = first
        self._directory = Here(directory)
        self._tune = tune
        self._grouped = grouped
        self._running: dict[str, Segment] = {}
        self._trials: dict[str, Segment] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next segment; None while those of the present interval run."""
        if self._first is not None:
            point, self._first = self._first, None
            return {"point": dict(point)}
        given = {(each.member, each.interval) for each in self._running.values()} | set(self._population.scores)
        for segment in self._population.segments:
            if (segment.member, segment.interval) not in given:
                self._running[trial_id] = segment
                return {"point": {**segment.recipe, "segment": self._told(segment)}}
        return str(self.FINISHED) if self._population.over else None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Only ends count."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:  # noqa: ARG002
        """A segment has ended; after the last of an interval the next begins."""
        segment = self._running.pop(trial_id, None)
        if segment is None:
            return
        self._trials[trial_id] = segment
        self._population.ended(segment, None if error else self._score(segment))
        begun = [each for each in self._population.segments if each.interval == len(self._population.past)]
        if begun and not any((each.member, each.interval) in self._population.scores for each in begun):
            for each in begun:
                self._begin(each)
        self._keep()
        self._drop_older()

    def save(self, checkpoint_path: str) -> None:
        """Keep everything, so that an interrupted sweep goes on."""
        Path(checkpoint_path).write_bytes(ray.cloudpickle.dumps(self.__dict__))

    def restore(self, checkpoint_path: str) -> None:
        """Go on: what has ended is known from the newest record, which trials there are from Tune's."""
        old = ray.cloudpickle.loads(Path(checkpoint_path).read_bytes())
        newest = Path(self._directory) / _STATE
        self.__dict__.update(old)
        if newest.is_file():
            self.__dict__.update(ray.cloudpickle.loads(newest.read_bytes()) | {"_first": old["_first"]})
        open_ones = {(each.member, each.interval) for each in self._population.segments} - set(self._population.scores)
        self._running = {trial: each for trial, each in old["_running"].items() if (each.member, each.interval) in open_ones}

    def _place(self, run: str) -> Path:
        return trial_directory(self._directory, "", {"segment": {"run": run}})

    def _score(self, segment: Segment) -> float | None:
        """At the segment's very end, of weights that can be gone on with; None otherwise."""
        rows = dict(History(self._place(segment.run) / "metrics.jsonl").rows())
        checkpoint = self._checkpoint(segment)
        whole = checkpoint is not None and step_of(checkpoint) == segment.until
        failed = fault_of(self._place(segment.run)) is not None
        return rows.get(segment.until, {}).get(self.metric) if whole and not failed else None

    def _checkpoint(self, segment: Segment) -> Path | None:
        """The last one of a segment that has ended."""
        if self._grouped:
            return newest_whole(self._place(segment.run))
        trials = [trial for trial, each in self._trials.items() if each == segment]
        return newest_whole(Path(self._directory) / self._tune / trials[-1]) if trials else None

    def _before(self, segment: Segment) -> Segment | None:
        """Whose weights a segment begins with."""
        if segment.interval == 0:
            return None
        run = segment.donor or segment.run
        return next(each for each in self._population.past[segment.interval - 1] if each.run == run)

    def _begin(self, segment: Segment) -> None:
        """Put the donor's checkpoint into the directory of its successor, and say it on the run that has ended."""
        before = self._before(segment)
        if segment.donor is None or before is None:
            return
        source, target = self._checkpoint(before), self._place(segment.run) / "checkpoints" / checkpoint_name(segment.start)
        assert source is not None
        staged = target.with_name(f".{target.name}")
        shutil.rmtree(staged, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, staged)
        staged.replace(target)
        say_beside(self._directory, f"step {segment.start}: {segment.run} takes over {segment.donor}, {segment.replaces} ends")
        ended = self._run_id(segment.replaces)
        if ended is not None:
            tags = {"rayseg.replaced_by": segment.run, "rayseg.replaced_at": str(segment.start)}
            DeskStore(desk_of(self._directory)).set_tags(ended, tags)

    def _told(self, segment: Segment) -> dict[str, Any]:
        """What a trial is told of its segment."""
        before = self._before(segment)
        own = before is not None and segment.donor is None and not self._grouped
        begins = self._checkpoint(before) if own and before is not None else None
        return {
            "run": segment.run,
            "member": segment.member,
            "interval": segment.interval,
            "until": segment.until,
            "begins": None if begins is None else str(begins.relative_to(self._directory)),
            "tags": self._tags(segment),
        }

    def _tags(self, segment: Segment) -> dict[str, str]:
        """Of the segment's run: which member, and where its weights and its number come from."""
        origin = next(each for each in self._everything() if each.run == segment.run)
        linked = {"rayseg.exploited_from": self._run_id(origin.donor), "rayseg.continues": self._run_id(origin.replaces)}
        named = {"rayseg.member": str(segment.member), "rayseg.begins_at": str(origin.start)}
        return named | {key: run for key, run in linked.items() if run is not None}

    def _everything(self) -> list[Segment]:
        return [*(each for interval in self._population.past for each in interval), *self._population.segments]

    def _run_id(self, run: str | None) -> str | None:
        path = None if run is None else self._place(run) / "mlflow_run_id"
        return path.read_text(encoding="utf-8").strip() if path is not None and path.is_file() else None

    def _keep(self) -> None:
        """Write what is known: first for the sweep itself, then for people and programs."""
        trials = {each: trial for trial, each in ((trial, (s.member, s.interval)) for trial, s in self._trials.items())}
        rows = [
            {**asdict(each), "score": self._population.scores.get((each.member, each.interval)), "trial": trials.get(place)}
            for each in self._everything()
            for place in [(each.member, each.interval)]
        ]
        _replace(Path(self._directory) / _STATE, ray.cloudpickle.dumps(self.__dict__))
        _replace(Path(self._directory) / LINEAGE, json.dumps(rows, indent=1).encode())

    def _drop_older(self) -> None:
        """Checkpoints of intervals that nobody begins with any more: all but those of the last two."""
        if self._grouped:
            return
        for trial, segment in self._trials.items():
            if segment.interval < len(self._population.past) - 2:
                for left in (Path(self._directory) / self._tune / trial).glob("checkpoint_*"):
                    shutil.rmtree(left, ignore_errors=True)


def _replace(path: Path, data: bytes) -> None:
    staged = path.with_name(f".{path.name}")
    staged.write_bytes(data)
    staged.replace(path)
