"""One trial of a sweep, inside the process that Tune gave it."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray.tune

import ray
from rayseg.build import Components
from rayseg.config import ExperimentConfig, flatten
from rayseg.engine.history import History
from rayseg.engine.reporter import checkpoint_name
from rayseg.launch.desk import DeskStore
from rayseg.launch.gate import Gate
from rayseg.launch.ray_train import make_trainer, run_trainer
from rayseg.launch.records import open_record, run_tracker
from rayseg.launch.run import RunInfo, prepare_directory, run_worker
from rayseg.report import changed_values
from rayseg.tracking import RunStatus, Tracker

__all__ = ["Trial", "TrialPlan", "TuneReporter", "as_function"]


@dataclass(frozen=True)
class TrialPlan:
    """What every trial of a sweep is told; can be pickled.

    Args:
        base: plain tree of the base config.
        directory: of the sweep.
        components: name -> callable given by value.
        desk: the one writer.
        parent_run_id: the sweep's MLflow run, or None.
        owner: tags of the driver, whose death ends every run.
    """

    base: Mapping[str, Any]
    directory: str
    desk: Any
    parent_run_id: str | None
    owner: Mapping[str, str]
    components: Components = field(default_factory=dict)

    def config(self, point: Mapping[str, Any], name: str) -> ExperimentConfig:
        """The config of a trial."""
        where = {"tracking.name": name, "tracking.storage": self.directory, "tracking.text": False}
        return ExperimentConfig.from_dict(dict(self.base)).with_({**point, **where})


class TuneReporter:
    """The loop's back end in a trial's own process: no second layer of actors.

    Args:
        tracker: where the trial records.
        history: file of evaluations in the trial's directory.
    """

    def __init__(self, tracker: Tracker, history: History) -> None:
        self._tracker = tracker
        self._history = history
        self._open = ExitStack()
        self._last: dict[str, float] = {}

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record."""
        self._tracker.log_metrics(step, metrics)

    def staging(self, step: int) -> Path:
        """A local directory that Tune copies from."""
        return Path(tempfile.mkdtemp(prefix="rayseg-")) / checkpoint_name(step)

    def report(self, step: int, metrics: Mapping[str, float], checkpoint: Path | None) -> None:
        """Hand metrics and the checkpoint to Tune, which may end the trial here."""
        if metrics:
            self._history.record(step, metrics)
            self._tracker.log_metrics(step, metrics)
        self._last = {**self._last, **metrics}
        if not self._last:
            return
        saved = None if checkpoint is None else ray.tune.Checkpoint.from_directory(str(checkpoint))
        try:
            ray.tune.report({"step": step, **self._last}, checkpoint=saved)
        finally:
            if checkpoint is not None:
                shutil.rmtree(checkpoint.parent, ignore_errors=True)

    def latest(self) -> Path | None:
        """The checkpoint that Tune resumes this trial from."""
        checkpoint = ray.tune.get_checkpoint()
        return None if checkpoint is None else Path(self._open.enter_context(checkpoint.as_directory()))

    def close(self) -> None:
        """Let go of downloaded checkpoints."""
        self._open.close()


@dataclass(frozen=True)
class Trial:
    """The function that Tune calls: overlay, validate, open the child run, train, close it with the right status."""

    plan: TrialPlan

    def __call__(self, chosen: dict[str, Any]) -> None:
        """Run one trial to its end, or to where Tune ends it."""
        point: dict[str, Any] = dict(chosen["point"]) if "point" in chosen else dict(chosen)
        trial_id: str = ray.tune.get_context().get_trial_id()
        is_baseline = point.pop("baseline", False)
        name = f"{Path(self.plan.directory).name}-{'baseline' if is_baseline else trial_id}"
        config = self.plan.config(point, name)
        directory = prepare_directory(config)
        store = DeskStore(self.plan.desk)
        run_id = None
        if self.plan.parent_run_id is not None:
            tags = {"rayseg.trial": trial_id, **_changed_tags(self.plan, config, is_baseline=is_baseline)}
            run_id = open_record(
                store, config, directory, tags=tags, parent_run_id=self.plan.parent_run_id, owner=self.plan.owner
            )
        ray.get(self.plan.desk.post.remote(f"trial/{trial_id}", {"run_id": run_id, "name": name, "directory": str(directory)}))
        sampled = {} if is_baseline else point
        info = RunInfo(config.to_dict(), str(directory), run_id, self.plan.components, sampled)
        if config.scaling.workers in (0, 1):
            self._train_here(info, store)
        else:
            self._train_on_workers(info, config, store)

    def _train_here(self, info: RunInfo, store: DeskStore) -> None:
        tracker = run_tracker(store if info.run_id else None, info.run_id)
        reporter = TuneReporter(tracker, History(Path(info.directory) / "metrics.jsonl"))
        status: RunStatus = "FAILED"
        try:
            run_worker(info, reporter, tracker)
            status = "FINISHED"
        except (SystemExit, StopIteration, KeyboardInterrupt):
            status = "KILLED"
            raise
        finally:
            reporter.close()
            tracker.finish(status)

    def _train_on_workers(self, info: RunInfo, config: ExperimentConfig, store: DeskStore) -> None:
        gate = ray.remote(Gate).options(num_cpus=0).remote()
        trainer = make_trainer(config, info, self.plan.desk, trial=gate)
        group = _Group(lambda: run_trainer(trainer, info, self.plan.desk))
        status: RunStatus = "FAILED"
        try:
            _pass_on(gate, group)
            status = "FINISHED"
        except (SystemExit, StopIteration, KeyboardInterrupt):
            status = "KILLED"
            group.join()
            raise
        finally:
            ray.kill(gate)
            if info.run_id is not None:
                store.finish(info.run_id, status)


def as_function(trial: Trial) -> Any:
    """A plain function, which is what Tune runs in a process that it uses again."""

    def rayseg_trial(chosen: dict[str, Any]) -> None:
        trial(chosen)

    return rayseg_trial


class _Group(threading.Thread):
    """``fit`` of a trainer, beside the trial's own thread, which speaks to Tune."""

    def __init__(self, fit: Any) -> None:
        super().__init__(daemon=True)
        self._fit = fit
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Keep what went wrong for the trial's thread."""
        try:
            self._fit()
        except BaseException as error:
            self.error = error


def _pass_on(gate: Any, group: _Group) -> None:
    """Give every evaluation to Tune, and Tune's answer to the workers."""
    while True:
        alive = group.is_alive()
        metrics = ray.get(gate.next.remote(0.5))
        if metrics is not None:
            try:
                ray.tune.report(metrics)
            except BaseException:
                ray.get(gate.answer.remote(False))
                raise
            ray.get(gate.answer.remote(True))
        elif not alive:
            break
    if group.error is not None:
        raise group.error


def _changed_tags(plan: TrialPlan, config: ExperimentConfig, *, is_baseline: bool) -> dict[str, str]:
    """What the trial changed, for people and filters."""
    base = flatten(ExperimentConfig.from_dict(dict(plan.base)))
    changed = {key: value for key, value in changed_values(base, flatten(config)).items() if not key.startswith("tracking.")}
    text = ", ".join(f"{key}={value}" for key, value in changed.items())
    return {"rayseg.changed": text or "nothing", "rayseg.baseline": str(is_baseline).lower()}
