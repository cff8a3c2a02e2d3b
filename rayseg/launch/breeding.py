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

from rayseg.engine.checkpoint import newest_whole, step_of
from rayseg.engine.history import History
from rayseg.engine.reporter import checkpoint_name
from rayseg.launch.desk import DeskStore, desk_of
from rayseg.launch.ledger import Ledger
from rayseg.launch.lineage import LINEAGE
from rayseg.launch.parts import newest_of
from rayseg.launch.population import Population, Segment
from rayseg.launch.recipes import BASELINE
from rayseg.launch.trial import fault_of, trial_directory
from rayseg.launch.watch import say_beside

__all__ = ["Breeder"]


class Breeder(TuneSearcher):
    """The baseline, then the segments of a population; those of an interval when all of the one before have ended.

    Args:
        population: at its beginning.
        first: the point of the baseline, which is no member and runs to its end.
        ledger: of the sweep.
        metric: the score.
        grouped: whether trials have workers of their own, whose checkpoints lie in the trial's directory.
    """

    def __init__(self, population: Population, first: Mapping[str, Any], ledger: Ledger, metric: str, *, grouped: bool) -> None:
        super().__init__(metric=metric, mode=population.rules.mode)
        self._ledger = ledger
        self._directory = ledger.directory
        self._grouped = grouped
        self._population = population
        self._first: Mapping[str, Any] | None = first
        self._given: dict[str, dict[str, Any]] = {}
        self._trials: dict[str, Segment] = {}
        self._running: dict[str, Segment] = {}
        self._names: dict[str, str] = {}

    def go_on(self) -> None:
        """Believe what was kept; segments without an end are handed out again."""
        self.__dict__.update(self._ledger.kept())
        if BASELINE in self._given and not self._ledger.has_ended(BASELINE):
            self._first = self._given[BASELINE]
        for name in self._given.keys() - set(self._trials):
            if name != BASELINE or self._first is not None:
                self._ledger.reopen(name, trial_directory(self._directory, self._given[name]))
        self._keep()

    @property
    def over(self) -> bool:
        """Whether no segment is left to be trained."""
        return self._first is None and self._population.over

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next segment; None while those of the present interval run."""
        if self._first is not None:
            point, self._first = self._first, None
            return self._told(trial_id, {**point, "trial": BASELINE})
        taken = {(each.member, each.interval) for each in self._running.values()} | set(self._population.scores)
        for segment in self._population.segments:
            if (segment.member, segment.interval) not in taken:
                self._running[trial_id] = segment
                told = {"trial": _name(segment), "segment": self._about(segment)}
                return self._told(trial_id, {**segment.recipe, **told})
        return str(self.FINISHED) if self._population.over else None

    def _told(self, trial_id: str, point: dict[str, Any]) -> dict[str, Any]:
        """What a trial is told, written down before it begins."""
        self._names[trial_id] = point["trial"]
        self._given[point["trial"]] = point
        self._keep()
        return {"point": point}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Only ends count."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:  # noqa: ARG002
        """A segment has ended; after the last of an interval the next begins."""
        name, segment = self._names[trial_id], self._running.pop(trial_id, None)
        self._ledger.end(name, failed=error)
        if segment is None:
            return
        self._trials[name] = segment
        self._population.ended(segment, None if error else self._score(segment))
        begun = [each for each in self._population.segments if each.interval == len(self._population.past)]
        if begun and not any((each.member, each.interval) in self._population.scores for each in begun):
            for each in begun:
                self._begin(each)
        self._keep()
        self._drop_older()

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see :meth:`go_on`."""

    def _place(self, run: str) -> Path:
        return trial_directory(self._directory, {"segment": {"run": run}})

    def _score(self, segment: Segment) -> float | None:
        """At the segment's very end, of weights that can be gone on with; None otherwise."""
        rows = dict(History(self._place(segment.run) / "metrics.jsonl").rows())
        checkpoint = self._checkpoint(segment)
        whole = checkpoint is not None and step_of(checkpoint) == segment.until
        failed = fault_of(self._place(segment.run)) is not None
        return rows.get(segment.until, {}).get(self.metric) if whole and not failed else None

    def _checkpoint(self, segment: Segment) -> Path | None:
        """The last one of a segment that has ended; it may have been written before a stop, and was put away then."""
        run = self._place(segment.run)
        if self._grouped:
            return newest_whole(run)
        return newest_of(self._ledger.place(_name(segment)), run / "checkpoints" / checkpoint_name(segment.until))

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
        say_beside(
            str(self._directory), f"step {segment.start}: {segment.run} takes over {segment.donor}, {segment.replaces} ends"
        )
        ended = self._run_id(segment.replaces)
        if ended is not None:
            tags = {"rayseg.replaced_by": segment.run, "rayseg.replaced_at": str(segment.start)}
            DeskStore(desk_of(str(self._directory))).set_tags(ended, tags)

    def _about(self, segment: Segment) -> dict[str, Any]:
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
        self._ledger.keep({key: self.__dict__[key] for key in ("_population", "_first", "_given", "_trials")})
        names, scores = {_name(each): each for each in self._trials.values()}, self._population.scores
        rows = [
            {**asdict(each), "score": scores.get((each.member, each.interval)), "trial": name if name in names else None}
            for each in self._everything()
            for name in [_name(each)]
        ]
        staged = self._directory / f".{LINEAGE}"
        staged.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        staged.replace(self._directory / LINEAGE)

    def _drop_older(self) -> None:
        """Checkpoints of intervals that nobody begins with any more: all but those of the last two."""
        if self._grouped:
            return
        for name, segment in self._trials.items():
            if segment.interval < len(self._population.past) - 2:
                for left in self._ledger.place(name).glob("checkpoint_*"):
                    shutil.rmtree(left, ignore_errors=True)


def _name(segment: Segment) -> str:
    """Of the trial in which a segment is trained."""
    return f"{segment.run}-part{segment.interval}"
