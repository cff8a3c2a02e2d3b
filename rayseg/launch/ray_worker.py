"""What runs inside a Ray Train worker."""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.train
import ray.train.v2._internal.execution.context as train_context

import ray
from rayseg.collective import broadcast_object, is_main
from rayseg.config import CheckpointConfig
from rayseg.engine.checkpoint import is_whole, newest_whole, step_of, strip_older
from rayseg.engine.history import History
from rayseg.engine.reporter import checkpoint_name
from rayseg.errors import RaysegError
from rayseg.launch.desk import DeskStore, DeskTold
from rayseg.launch.groups import claim_group
from rayseg.launch.keepers import place_here
from rayseg.launch.records import closing, own_trackers, run_tracker
from rayseg.launch.run import RunInfo, StopRun, run_worker
from rayseg.tracking import NullTracker, Tracker, TrackerGroup

__all__ = ["SCORE", "TrainReporter", "fault_key", "train_worker"]

#: What Ray orders checkpoints by.
SCORE = "checkpoint_score"


class TrainReporter:
    """The loop's back end in a Train worker: Ray keeps the checkpoints and brings the run back after a failure.

    Args:
        tracker: where rank 0 records.
        history: file of evaluations in the run's directory.
        kept: what is kept of the run.
        gate: where a sweep's trial is asked whether to go on; None in a single run.
    """

    def __init__(self, tracker: Tracker, history: History, kept: CheckpointConfig, gate: Any = None) -> None:
        self._tracker = tracker
        self._history = history
        self._kept = kept
        self._gate = gate
        self._open = ExitStack()
        self._last: dict[str, float] = {}

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record on rank 0."""
        self._tracker.log_metrics(step, metrics)

    def staging(self, step: int) -> Path:
        """A local directory that Ray uploads from."""
        return Path(tempfile.mkdtemp(prefix="rayseg-")) / checkpoint_name(step)

    def report(self, step: int, metrics: Mapping[str, float], checkpoint: Path | None) -> None:
        """Hand metrics and the checkpoint to Ray; a collective.

        Raises:
            StopRun: the search has decided that this trial ends here.
        """
        if is_main() and metrics:
            self._history.record(step, metrics)
            self._tracker.log_metrics(step, metrics)
        self._last = {**self._last, **metrics}
        saved = None if checkpoint is None else ray.train.Checkpoint.from_directory(str(checkpoint))
        score = metrics.get(self._kept.best, math.nan)  # of this very step; Ray keeps the largest and takes NaN for the least
        ray.train.report({"step": step, **self._last, SCORE: score}, checkpoint=saved)
        if checkpoint is not None:
            shutil.rmtree(checkpoint.parent, ignore_errors=True)
            if self._kept.optimizer == "newest":
                strip_older(self._history.path.parent, step)
        if self._gate is not None and metrics:
            self._ask(step, metrics)

    def latest(self) -> Path | None:
        """The newest of what Ray resumes this attempt from and what the run's directory holds, such as from one process."""
        checkpoint = ray.train.get_checkpoint()
        known = [] if checkpoint is None else [Path(self._open.enter_context(checkpoint.as_directory()))]
        own = newest_whole(self._history.path.parent)
        return max([*(each for each in known if is_whole(each)), *([] if own is None else [own])], key=step_of, default=None)

    def close(self) -> None:
        """Let go of downloaded checkpoints."""
        self._open.close()

    def _ask(self, step: int, metrics: Mapping[str, float]) -> None:
        answer = None
        if is_main():
            answer = ray.get(self._gate.result.remote({"step": step, **metrics}))
        if not broadcast_object(answer):
            raise StopRun


def train_worker(loop_config: dict[str, Any]) -> dict[str, float]:
    """Entry point of every worker of a ``TorchTrainer``.

    A fault that would come again (a wrong config, a broken image, a loss that is not finite) is left at the desk, so that the
    attempt that Ray starts next ends at once and the driver raises the fault itself.
    """
    logging.getLogger(train_context.__file__).setLevel(logging.WARNING)
    info: RunInfo = loop_config["info"]
    desk = loop_config["desk"]
    if ray.get(desk.look.remote(fault_key(info))) is not None:
        return {}
    if is_main() and loop_config["gate"] is not None:
        claim_group(desk, info.directory)
    info = replace(info, place=place_here(desk, info.place))
    try:
        with _recording(info, desk, loop_config["gate"]) as tracker:
            return _train(info, tracker, loop_config["gate"])
    except RaysegError as error:
        ray.get(desk.post.remote(fault_key(info), error))
        raise


def _train(info: RunInfo, tracker: Tracker, gate: Any) -> dict[str, float]:
    history, kept = History(Path(info.directory) / "metrics.jsonl"), info.experiment_config().checkpoint
    reporter = TrainReporter(tracker, history, kept, gate)
    try:
        return run_worker(info, reporter, tracker)
    finally:
        reporter.close()


def fault_key(info: RunInfo) -> str:
    """Under which a worker leaves a fault at the desk."""
    return f"fault/{info.directory}"


@contextmanager
def _recording(info: RunInfo, desk: Any, gate: Any) -> Iterator[Tracker]:
    """Where rank 0 records; its own trackers are closed at the end, MLflow's run by the driver."""
    config = info.experiment_config()
    if not is_main():
        yield NullTracker()
        return
    directory = Path(info.directory)
    own = own_trackers(config, directory, group=None if gate is None else directory.parent.name)
    told = [DeskTold(desk)] if config.tracking.text else []
    with closing(TrackerGroup(own).finish):
        yield run_tracker(DeskStore(desk), info.run_id, [*told, *own])
