"""How the loop speaks to whatever runs it."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from rayseg.collective import barrier, is_main
from rayseg.engine.checkpoint import ResumeState, newest_whole, strip_older
from rayseg.engine.history import History

__all__ = ["LocalReporter", "Reporter", "StopRun", "checkpoint_name"]


class StopRun(Exception):
    """Raised on every rank by a reporter: the run ends here, with what it has."""


def checkpoint_name(step: int) -> str:
    """Directory name of the checkpoint after ``step`` steps.

    Example:
        >>> checkpoint_name(120)
        'step_00000120'
    """
    return f"step_{step:08d}"


class Reporter(Protocol):
    """Three back ends: a Train worker, a Tune trial's own process, a plain process.

    One that has ``stored(checkpoint)`` too lets the loop go on while a checkpoint is written: ``report`` gets its path before
    it is there, ``stored`` is called on rank 0, by another thread, when it is. If it also has ``pending(written)``, that is
    called on rank 0 before the report with a future, which is done when the checkpoint is there or cannot be written.
    """

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record metrics: rank 0 only, no barrier, any rate."""

    def staging(self, step: int) -> Path:
        """Where rank 0 writes the checkpoint of ``step``; a local directory that does not exist yet."""

    def report(self, step: int, metrics: Mapping[str, float], checkpoint: Path | None) -> None:
        """Every rank: metrics of an evaluation, and on rank 0 the checkpoint written in ``staging``."""

    def latest(self) -> Path | None:
        """Newest whole checkpoint, as a local directory, or None."""


class LocalReporter:
    """Checkpoints in ``directory/checkpoints``, reported metrics in ``directory/metrics.jsonl``.

    Args:
        directory: of this run.
        keep: newest checkpoints kept; the best one is kept besides.
        best: metric by which the best is chosen.
        mode: ``max`` or ``min``.
        resume_state: which checkpoints keep what a resumed run needs.
        on_log: called by rank 0 with every metric that is logged or reported.
    """

    def __init__(
        self,
        directory: Path,
        *,
        keep: int = 2,
        best: str = "val/mIoU",
        mode: str = "max",
        resume_state: ResumeState = "all",
        on_log: Callable[[int, Mapping[str, float]], None] | None = None,
    ) -> None:
        self.directory = directory
        self._history = History(directory / "metrics.jsonl")
        self._keep = keep
        self._best = best
        self._sign = 1.0 if mode == "max" else -1.0
        self._resume_state = resume_state
        self._on_log = on_log

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Pass metrics on to ``on_log``."""
        if self._on_log is not None:
            self._on_log(step, metrics)

    def staging(self, step: int) -> Path:
        """Final name: the checkpoint is written there atomically."""
        return self._checkpoints / checkpoint_name(step)

    def report(self, step: int, metrics: Mapping[str, float], checkpoint: Path | None) -> None:  # noqa: ARG002
        """Record metrics."""
        if is_main() and metrics:
            self._history.record(step, metrics)
            self.log(step, metrics)
        barrier()

    def stored(self, checkpoint: Path) -> None:
        """Drop checkpoints that are neither new nor best."""
        self._prune(checkpoint)
        if self._resume_state == "newest":
            strip_older(self.directory, _step_of(checkpoint))

    def latest(self) -> Path | None:
        """Newest whole checkpoint, of Ray Train's too; torn ones are passed over."""
        return newest_whole(self.directory)

    def best(self) -> Path | None:
        """Checkpoint with the best reported score, or the newest where none has a score."""
        scores = self._scores()
        scored = [path for path in self._saved() if _step_of(path) in scores]
        return max(scored, key=lambda path: self._sign * scores[_step_of(path)]) if scored else self.latest()

    def history(self) -> list[tuple[int, dict[str, float]]]:
        """Every report so far: ``(step, metrics)``, each step once."""
        return self._history.rows()

    @property
    def _checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    def _saved(self) -> list[Path]:
        return sorted(path for path in self._checkpoints.glob("step_*") if re.fullmatch(r"step_\d+", path.name))

    def _scores(self) -> dict[int, float]:
        return {step: row[self._best] for step, row in self.history() if not math.isnan(row.get(self._best, math.nan))}

    def _prune(self, newest: Path) -> None:
        """Drop the old ones; and later ones: they are torn, or this run would have gone on from them."""
        for path in self._saved():
            if _step_of(path) > _step_of(newest):
                shutil.rmtree(path, ignore_errors=True)
        saved, best = self._saved(), self.best()
        for path in saved[: -self._keep]:
            if path != best:
                shutil.rmtree(path, ignore_errors=True)


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("step_"))
