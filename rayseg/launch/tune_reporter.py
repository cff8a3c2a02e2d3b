"""The loop's back end in a trial's own process: no second layer of actors."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import ray.tune

from rayseg.engine.checkpoint import strip_older
from rayseg.engine.history import History
from rayseg.engine.reporter import checkpoint_name
from rayseg.launch.parts import newest_of
from rayseg.tracking import Tracker

__all__ = ["TuneReporter"]


class TuneReporter:
    """Evaluations and checkpoints go to Tune, which may end the trial there.

    Args:
        tracker: where the trial records.
        history: file of evaluations in the trial's directory.
        strips: the directory in which Tune keeps the trial's checkpoints, where only the newest of them is to hold what a
            run needs to go on; None: all do.
        begins: a checkpoint to go on from, where the trial has none of its own that is newer.
    """

    def __init__(self, tracker: Tracker, history: History, strips: Path | None = None, begins: Path | None = None) -> None:
        self._tracker = tracker
        self._history = history
        self._strips = strips
        self._begins = begins
        self._open = ExitStack()
        self._last: dict[str, float] = {}
        self.step = 0

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record."""
        self._tracker.log_metrics(step, metrics)

    def staging(self, step: int) -> Path:
        """A local directory that Tune copies from."""
        return Path(tempfile.mkdtemp(prefix="rayseg-")) / checkpoint_name(step)

    def report(self, step: int, metrics: Mapping[str, float], checkpoint: Path | None) -> None:
        """Hand metrics and the checkpoint to Tune.

        Raises:
            SystemExit: Tune ends the trial here.
        """
        if metrics:
            self._history.record(step, metrics)
            self._tracker.log_metrics(step, metrics)
        self._last = {**self._last, **metrics}
        self.step = step
        saved = None if checkpoint is None else ray.tune.Checkpoint.from_directory(str(checkpoint))
        try:
            ray.tune.report({"step": step, **self._last}, checkpoint=saved)
        except SystemExit:  # Tune ends the trial here, when the checkpoint is stored
            self._strip(saved, step)
            raise
        finally:
            if checkpoint is not None:
                shutil.rmtree(checkpoint.parent, ignore_errors=True)
        self._strip(saved, step)

    def _strip(self, saved: ray.tune.Checkpoint | None, step: int) -> None:
        if saved is not None and self._strips is not None:
            strip_older(self._strips, step)

    def latest(self) -> Path | None:
        """The newest of what Tune has of this trial, what it was given to begin with, and what is in its directory."""
        checkpoint = ray.tune.get_checkpoint()
        own = None if checkpoint is None else Path(self._open.enter_context(checkpoint.as_directory()))
        return newest_of(own, self._begins, self._history.path.parent)

    def close(self) -> None:
        """Let go of downloaded checkpoints."""
        self._open.close()
