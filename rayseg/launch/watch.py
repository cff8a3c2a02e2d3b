"""What a person sees of a sweep while it runs: one plain line per trial that ends."""

from __future__ import annotations

import sys
from typing import Any

import ray.tune

import ray

__all__ = ["Watch"]


class Watch(ray.tune.Callback):
    """Prints a line when a trial ends, and closes the run of one that could not.

    Args:
        desk: the one writer.
        metric: to compare by.
        mode: ``max`` or ``min``.
        num_trials: in the sweep.
    """

    def __init__(self, desk: Any, metric: str, mode: str, num_trials: int) -> None:
        self._desk = desk
        self._metric = metric
        self._sign = 1.0 if mode == "max" else -1.0
        self._num_trials = num_trials
        self._best: float | None = None
        self._ended = 0

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        """A trial came to its end, or was ended."""
        self._tell(trial, "")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        """A trial failed for good."""
        self._tell(trial, "  FAILED")
        note = ray.get(self._desk.look.remote(f"trial/{trial.trial_id}"))
        if note is not None and note["run_id"] is not None:
            self._desk.record.remote("finish", (note["run_id"], "FAILED"), {})

    def _tell(self, trial: Any, more: str) -> None:
        self._ended += 1
        score = trial.last_result.get(self._metric)
        if score is not None and (self._best is None or self._sign * score > self._sign * self._best):
            self._best = score
        point = trial.config.get("point", trial.config)
        values = "  ".join(f"{key.split('.', 1)[-1]}={_short(value)}" for key, value in point.items())
        told = "-" if score is None else f"{score:.4f}"
        best = "-" if self._best is None else f"{self._best:.4f}"
        step = trial.last_result.get("step", 0)
        line = f"trial {self._ended:>2}/{self._num_trials}  {self._metric} {told}  best {best}  step {step:>4}  {values}{more}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
