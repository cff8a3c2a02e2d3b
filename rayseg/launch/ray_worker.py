"""What runs inside a Ray Train worker."""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ray.train
import ray.train.v2._internal.execution.context as train_context

import ray
from rayseg.collective import broadcast_object, is_main
from rayseg.config import CheckpointConfig
from rayseg.engine.checkpoint import is_whole, newest_whole, step_of, strip_older
from rayseg.engine.history import History
from rayseg.engine.reporter import StopRun
from rayseg.errors import ConfigError, Problem, RaysegError
from rayseg.launch.desk import DeskStore, DeskTold
from rayseg.launch.groups import claim_group
from rayseg.launch.keepers import place_here
from rayseg.launch.records import closing, own_trackers, run_tracker
from rayseg.launch.run import RunInfo, run_worker
from rayseg.tracking import NullTracker, Tracker, TrackerGroup

__all__ = ["SCORE", "TrainReporter", "fault_key", "require_shared", "train_worker"]

#: What Ray orders checkpoints by.
SCORE = "checkpoint_score"


class TrainReporter:
    """The loop's back end in a Train worker: Ray keeps the checkpoints and brings the run back after a failure.

    They are written in the run's directory by the loop's own thread. Ray is told of each at once, and waits on a thread of its
    own until it is whole: only then is it the one to go on from.

    Args:
        tracker: where rank 0 records.
        history: file of evaluations in the run's directory.
        kept: what is kept of the run.
        gate: where a sweep's trial is asked whether to go on; None in a single run.
        on_fault: is told, on another thread, that a checkpoint cannot be written, before Ray ends the workers for it.
    """

    def __init__(
        self,
        tracker: Tracker,
        history: History,
        kept: CheckpointConfig,
        gate: Any = None,
        on_fault: Callable[[RaysegError], object] = lambda _: None,
    ) -> None:
        self._tracker = tracker
        self._history = history
        self._kept = kept
        self._gate = gate
        self._on_fault = on_fault
        self._open = ExitStack()
        self._last: dict[str, float] = {}
        self._written = Future[object]()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record on rank 0."""
        self._tracker.log_metrics(step, metrics)

    def staging(self, step: int) -> Path:  # noqa: ARG002 - a run that repeats a step must not write into what Ray knows
        """Its final name, in Ray's layout: the checkpoint is written there atomically."""
        now = time.time_ns()
        name = time.strftime("checkpoint_%Y-%m-%d_%H-%M-%S", time.localtime(now // 10**9))
        return self._history.path.parent / f"{name}.{now % 10**9 // 1000:06d}"

    def pending(self, written: Future[object]) -> None:
        """What the checkpoint of the next report waits for."""
        self._written = written

    def report(self, step: int, metrics: Mapping[str, float], checkpoint: Path | None) -> None:
        """Hand metrics to Ray, and the checkpoint when it is whole; a collective.

        Raises:
            StopRun: the search has decided that this trial ends here.
        """
        if is_main() and metrics:
            self._history.record(step, metrics)
            self._tracker.log_metrics(step, metrics)
        self._last = {**self._last, **metrics}
        score = metrics.get(self._kept.best, math.nan)  # of this very step; Ray keeps the largest and takes NaN for the least
        ray.train.report(
            {"step": step, **self._last, SCORE: score},
            checkpoint=None if checkpoint is None else ray.train.Checkpoint.from_directory(str(checkpoint)),
            checkpoint_upload_mode=ray.train.CheckpointUploadMode.ASYNC,  # without a checkpoint, too: reports keep their order
            checkpoint_upload_fn=partial(self._when_whole, self._written),
            delete_local_checkpoint_after_upload=False,
        )
        if self._gate is not None and metrics:
            self._ask(step, metrics)

    def stored(self, checkpoint: Path) -> None:
        """Keep what resuming needs in the newest alone, where that is asked for."""
        if self._kept.optimizer == "newest":
            strip_older(self._history.path.parent, step_of(checkpoint))

    def recall(self) -> None:
        """Tell Ray of whole checkpoints in the run's directory that it does not know, which it keeps or drops; a collective.

        It is told of each when it is whole, and a kill may come between the two; what it was told in an earlier call is not
        believed (see ``run_trainer``).
        """
        known = ray.train.get_checkpoint()
        after, scores = -1 if known is None else step_of(Path(known.path)), dict(self._history.rows())
        for step, place in broadcast_object(_whole_after(self._history.path.parent, after) if is_main() else None):
            row = scores.get(step, {})
            ray.train.report(
                {"step": step, **row, SCORE: row.get(self._kept.best, math.nan)},
                checkpoint=ray.train.Checkpoint.from_directory(place) if is_main() else None,
                checkpoint_upload_mode=ray.train.CheckpointUploadMode.NO_UPLOAD,
            )

    def latest(self) -> Path | None:
        """The newest of what Ray resumes this attempt from and what the run's directory holds, such as from one process."""
        checkpoint = ray.train.get_checkpoint()
        known = [] if checkpoint is None else [Path(self._open.enter_context(checkpoint.as_directory()))]
        own = newest_whole(self._history.path.parent)
        return max([*(each for each in known if is_whole(each)), *([] if own is None else [own])], key=step_of, default=None)

    def close(self) -> None:
        """Let go of downloaded checkpoints."""
        self._open.close()

    def _when_whole(self, written: Future[object], checkpoint: ray.train.Checkpoint, _name: str) -> ray.train.Checkpoint:
        """Instead of Ray's copying: the checkpoint is where it shall be."""
        try:
            written.result()
        except RaysegError as fault:
            self._on_fault(fault)
            raise
        return checkpoint

    def _ask(self, step: int, metrics: Mapping[str, float]) -> None:
        answer = None
        if is_main():
            answer = ray.get(self._gate.result.remote({"step": step, **metrics}))
        if not broadcast_object(answer):
            raise StopRun


def train_worker(info: RunInfo, desk: Any, gate: Any) -> dict[str, float]:
    """One worker of a run.

    A fault that would come again (a wrong config, a broken image, a loss that is not finite) is left at the desk, so that the
    attempt that Ray starts next ends at once and the driver raises the fault itself.
    """
    logging.getLogger(train_context.__file__).setLevel(logging.WARNING)
    if ray.get(desk.look.remote(fault_key(info))) is not None:
        return {}
    if is_main() and gate is not None:
        claim_group(desk, info.directory)
    info = replace(info, place=place_here(desk, info.place))
    try:
        with _recording(info, desk, gate) as tracker:
            return _train(info, tracker, desk, gate)
    except RaysegError as error:
        _leave(desk, info, error)
        raise


def _train(info: RunInfo, tracker: Tracker, desk: Any, gate: Any) -> dict[str, float]:
    directory, kept = Path(info.directory), info.experiment_config().checkpoint
    require_shared(directory)
    reporter = TrainReporter(tracker, History(directory / "metrics.jsonl"), kept, gate, partial(_leave, desk, info))
    try:
        reporter.recall()
        return run_worker(info, reporter, tracker)
    finally:
        reporter.close()


def _whole_after(run: Path, step: int) -> list[tuple[int, str]]:
    """Whole checkpoints in Ray's layout after a step, by step."""
    whole = [(step_of(each), str(each)) for each in run.glob("checkpoint_*") if is_whole(each)]
    return sorted((at, place) for at, place in whole if at > step)


def require_shared(directory: Path) -> None:
    """What the driver has written into the run's directory must be seen here.

    Raises:
        ConfigError: it is not: a worker would write where nobody looks.
    """
    if not (directory / "config.yaml").is_file():
        message = f"{directory} of {socket.gethostname()} is not the driver's; choose a directory that every node sees"
        raise ConfigError([Problem("tracking.storage", message)])


def _leave(desk: Any, info: RunInfo, fault: RaysegError) -> None:
    ray.get(desk.post.remote(fault_key(info), fault))


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
