"""One trial of a sweep, inside the process that Tune gave it.

A trial of one worker trains in that process, which Tune then uses again. A trial of several workers starts a group of Train
workers and stands between them and Tune (``gate.py``). A fault of ours would come again, so it ends the trial without a second
attempt: it is left in the trial's directory as ``fault.txt``. Only a process that died is started again.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray.tune

import ray
from rayseg.build import Components, same_labels, worker_counts
from rayseg.config import ExperimentConfig, flatten
from rayseg.data import KeepingPlace, LabelCounts
from rayseg.engine import lent_process
from rayseg.engine.checkpoint import step_of
from rayseg.engine.history import History
from rayseg.errors import RaysegError
from rayseg.launch.desk import DeskStore
from rayseg.launch.gate import Gate
from rayseg.launch.group_thread import GroupThread
from rayseg.launch.keepers import place_here
from rayseg.launch.parts import Part, changes_recipe, info_of, keep_schedule, left_of, overrides_of, parts_of, steps_done
from rayseg.launch.records import closing, finisher, open_record, own_trackers, run_tracker
from rayseg.launch.run import RunInfo, prepare_directory, run_worker
from rayseg.launch.tune_reporter import TuneReporter
from rayseg.report import changed_values
from rayseg.report.live import changed_text
from rayseg.tracking import NullTracker, Tracker

__all__ = ["Trial", "TrialPlan", "fault_of", "on_workers", "run_trial", "trial_directory"]

#: In every chart of MLflow, on white and on black; the colours of others are its own.
_BASELINE_COLOUR = "#4a4f57"


@dataclass(frozen=True)
class TrialPlan:
    """What every trial of a sweep is told; can be pickled.

    Args:
        base: plain tree of the base config.
        directory: of the sweep.
        desk: the one writer.
        parent_run_id: the sweep's MLflow run, or None.
        owner: tags of the driver, whose death ends every run.
        total_steps: of every trial; one that came so far is not one that was ended early.
        import_paths: where the driver imports from.
        components: name -> callable given by value.
        counts: labels of the training set, where a recipe needs them.
        searched: keys of the space.
        place: where decoded samples are kept on the driver's machine, or None.
    """

    base: Mapping[str, Any]
    directory: str
    desk: Any
    parent_run_id: str | None
    owner: Mapping[str, str]
    total_steps: int
    import_paths: tuple[str, ...] = ()
    components: Components = field(default_factory=dict)
    counts: LabelCounts | None = None
    searched: tuple[str, ...] = ()
    place: KeepingPlace | None = None

    def counts_for(self, config: ExperimentConfig) -> LabelCounts | None:
        """The driver's counts, if this trial's labels are the base's."""
        return self.counts if same_labels(config, ExperimentConfig.from_dict(dict(self.base))) else None

    def config(self, point: Mapping[str, Any], name: str) -> ExperimentConfig:
        """The config of a trial."""
        where = {"tracking.name": name, "tracking.storage": self.directory, "tracking.text": False}
        return ExperimentConfig.from_dict(dict(self.base)).with_({**point, **where})


def on_workers(config: ExperimentConfig) -> bool:
    """Whether a trial needs a group of workers besides its own process."""
    return worker_counts(config)[-1] > 1


def trial_directory(directory: str | Path, point: Mapping[str, Any]) -> Path:
    """Where a trial of the sweep in a directory writes; the segments of a run of a population share it."""
    name = point["segment"]["run"] if "segment" in point else point["trial"]
    return Path(directory) / f"{Path(directory).name}-{name}"


def fault_of(directory: Path) -> str | None:
    """The fault that ended the trial of a directory, or None."""
    path = directory / "fault.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def run_trial(plan: TrialPlan, point: Mapping[str, Any]) -> None:
    """One trial in the process that Tune gave it.

    Args:
        plan: of the sweep.
        point: overrides of the base, and marks; see :class:`Trial`.
    """
    _prepare_process(plan)
    with lent_process():
        Trial(plan, point).run()


def _prepare_process(plan: TrialPlan) -> None:
    """A trial that Tune ends may be in the middle of storing pictures; and what the driver can import, it must.

    What was imported before the first trial stays, so that no later one looks through it for memory to give back.
    """
    if gc.get_freeze_count() == 0:
        gc.freeze()
    os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "60")
    sys.path.extend(path for path in plan.import_paths if path not in sys.path)


@dataclass(frozen=True)
class Trial:
    """Overlay, validate, open the child run, train, close it with the right status.

    Args:
        plan: of the sweep.
        point: overrides of the base; ``trial`` is its name, ``baseline: True`` marks trial 0, ``recipe`` names what is
            confirmed with a ``seed``, ``segment`` tells a member of a population where it begins and ends, ``schedule`` which
            recipe it has when.
    """

    plan: TrialPlan
    point: Mapping[str, Any]

    def run(self) -> None:
        """Run to the end, or to where Tune ends it."""
        directory = trial_directory(self.plan.directory, self.point)
        try:
            config = self.plan.config(overrides_of(self.point), directory.name)
            begun = directory.is_dir()
            prepare_directory(config)
            self._train(config, directory, self._open(config, directory, begun=begun))
        except RaysegError as fault:
            directory.mkdir(exist_ok=True)
            (directory / "fault.txt").write_text(f"{type(fault).__name__}: {fault}\n", encoding="utf-8")

    def _open(self, config: ExperimentConfig, directory: Path, *, begun: bool) -> str | None:
        """Start or continue the child run, and say at the desk that this process has this trial now."""
        run_id = None
        store = DeskStore(self.plan.desk)
        if self.plan.parent_run_id is not None:
            parent, owner = self.plan.parent_run_id, self.plan.owner
            searched, tags = self.plan.searched, self._tags(config)
            told: dict[str, Any] = {"tags": tags, "parent_run_id": parent, "owner": owner, "searched": searched, "begun": begun}
            run_id = open_record(store, config, directory, **told)
        actor = ray.cloudpickle.dumps(ray.get_runtime_context().current_actor)  # the desk would import what a trial does
        note = {"run_id": run_id, "directory": str(directory), "actor": actor}
        ray.get(self.plan.desk.post.remote(f"trial/{self.point['trial']}", note))
        return run_id

    def _train(self, config: ExperimentConfig, directory: Path, run_id: str | None) -> None:
        """Tune ends a trial by SystemExit; one that it ends at its last evaluation has ended by itself."""
        store = DeskStore(self.plan.desk) if run_id is not None else None
        parts = parts_of(self.point, config, self.plan.total_steps)
        keep_schedule(parts, directory)
        last, ended = _LastStep(), None
        tracker = NullTracker() if on_workers(config) else run_tracker(store, run_id, self._own(config, directory))
        with closing(finisher(store, run_id) if on_workers(config) else tracker.finish):
            try:
                if on_workers(config):
                    for part in left_of(parts, steps_done(directory)):
                        self._train_on_workers(part, self._info(part, directory, run_id), last)
                else:
                    self._train_here(parts, [self._info(part, directory, run_id) for part in parts], tracker, last)
            except SystemExit as end:
                if last.step < self.plan.total_steps:
                    raise
                ended = end
        if ended is not None:
            raise ended

    def _info(self, part: Part, directory: Path, run_id: str | None) -> RunInfo:
        counts, other = self.plan.counts_for(part.config), changes_recipe(self.point)
        return info_of(part, directory, run_id, self.plan.components, counts, other_recipe=other, place=self.plan.place)

    def _own(self, config: ExperimentConfig, directory: Path) -> list[Tracker]:
        return own_trackers(config, directory, group=Path(self.plan.directory).name)

    def _train_here(self, parts: list[Part], infos: list[RunInfo], tracker: Tracker, last: _LastStep) -> None:
        kept = Path(self.plan.directory) / ray.tune.get_context().get_experiment_name() / self.point["trial"]
        strips = kept if parts[0].config.checkpoint.optimizer == "newest" else None
        begins = self.point.get("segment", {}).get("begins")
        history = History(Path(infos[0].directory) / "metrics.jsonl")
        reporter = TuneReporter(tracker, history, strips, None if begins is None else Path(self.plan.directory) / begins)
        place = place_here(self.plan.desk, self.plan.place)
        try:
            for part in left_of(parts, _step_of(reporter.latest())):
                run_worker(replace(infos[parts.index(part)], place=place), reporter, tracker)
        finally:
            last.step = reporter.step
            reporter.close()

    def _train_on_workers(self, part: Part, info: RunInfo, last: _LastStep) -> None:
        from rayseg.launch.ray_train import make_trainer, run_trainer  # noqa: PLC0415  trials of one worker need no Ray Train

        gate = ray.remote(Gate).options(num_cpus=0).remote()
        ray.get(self.plan.desk.take.remote(f"group/{info.directory}"))
        trainer = make_trainer(part.config, info, self.plan.desk, gate=gate)
        group = GroupThread(lambda: run_trainer(trainer, info, self.plan.desk))
        try:
            for metrics in group.evaluations(gate):
                last.step, final = metrics["step"], metrics
                if last.step < self.plan.total_steps:
                    ray.tune.report(metrics)
            if last.step >= self.plan.total_steps:  # told when the workers have ended: Tune may end this process then
                ray.tune.report(final)
        finally:
            with suppress(ray.exceptions.RayError):  # the sweep may be over by now; that is not what ended the trial
                ray.get(gate.close.remote())
            group.join()
            ray.kill(gate)

    def _tags(self, config: ExperimentConfig) -> dict[str, str]:
        """What the trial changed, for people and filters."""
        base = flatten(ExperimentConfig.from_dict(dict(self.plan.base)))
        changed = changed_values(base, flatten(config)).items()
        text = changed_text({key: value for key, value in changed if not key.startswith("tracking.")})
        is_baseline = bool(self.point.get("baseline"))
        return {
            "rayseg.trial": self.point["trial"],
            "rayseg.changed": text or "nothing",
            "mlflow.note.content": f"Changed: {text or 'nothing'}",
            "rayseg.baseline": str(is_baseline).lower(),
            "rayseg.kind": "confirm" if "recipe" in self.point else "trial",
            "rayseg.seed": str(config.seed),
            **({"mlflow.runColor": _BASELINE_COLOUR} if is_baseline else {}),
            **({"rayseg.recipe": self.point["recipe"]} if "recipe" in self.point else {}),
            **self.point.get("segment", {}).get("tags", {}),
        }


@dataclass
class _LastStep:
    """The step of the last evaluation that Tune was told of."""

    step: int = 0


def _step_of(checkpoint: Path | None) -> int:
    return 0 if checkpoint is None else step_of(checkpoint)
