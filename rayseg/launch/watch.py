"""What a person sees of a sweep while it runs: one plain line per trial that ends."""

from __future__ import annotations

import sys
from typing import Any

import ray.tune

from rayseg.launch.trial import fault_of, trial_directory

__all__ = ["Watch"]


class Watch(ray.tune.Callback):
    """Prints a line when a trial ends. It remembers nothing, so that a sweep that goes on counts on.

    Args:
        directory: of the sweep.
        metric: to compare by.
        mode: ``max`` or ``min``.
        num_trials: in the sweep.
    """

    def __init__(self, directory: str, metric: str, mode: str, num_trials: int) -> None:
        self._directory = directory
        self._metric = metric
        self._best_of = max if mode == "max" else min
        self._num_trials = num_trials

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        """A trial came to its end, or was ended."""
        directory = trial_directory(self._directory, trial.trial_id, trial.config["point"])
        self._tell(trials, trial, failed=fault_of(directory) is not None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        """The process of a trial died, or it raised what is not ours, once too often."""
        self._tell(trials, trial, failed=True)

    def _tell(self, trials: list[Any], trial: Any, *, failed: bool) -> None:
        ended = sum(1 for each in trials if each.is_finished() or each is trial)
        scores = [each.last_result[self._metric] for each in trials if self._metric in (each.last_result or {})]
        score = (trial.last_result or {}).get(self._metric)
        step = (trial.last_result or {}).get("step", 0)
        values = "  ".join(f"{key.split('.', 1)[-1]}={_short(value)}" for key, value in trial.config["point"].items())
        told = f"{self._metric} {_score(score)}  best {_score(self._best_of(scores, default=None))}  step {step:>4}"
        sys.stdout.write(f"trial {ended:>2}/{self._num_trials}  {told}  {values}{'  FAILED' if failed else ''}\n")
        sys.stdout.flush()


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
