"""Counts what a search costs while Tune runs it, and stops it when its budget is spent."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ray.tune

from rayseg.launch.budget import Budget, Spent, read_spent

__all__ = ["Meter", "limited"]

#: Budgets of this process by directory, with what a trial takes; Tune keeps its callbacks in a file, and a later call may have
#: another budget.
_LIMITS: dict[str, tuple[Budget, float]] = {}
_EVERY_S = 1.0


@contextmanager
def limited(directory: Path, budget: Budget, devices: float) -> Iterator[None]:
    """Inside, the meter of the search in this directory has a budget.

    Args:
        directory: of the search.
        budget: that may be spent in all.
        devices: that one trial takes.
    """
    spent = read_spent(directory)
    if spent.out and not budget.spent_by(spent):
        _keep(directory, replace(spent, out=False))
    _LIMITS[str(directory)] = budget, devices
    try:
        yield
    finally:
        del _LIMITS[str(directory)]


class Meter(ray.tune.Callback):
    """Counts what a search costs, and stops it when its budget is spent.

    Args:
        directory: of the search.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._last: float | None = None
        self._next = 0.0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ARG002
        """Time has passed."""
        now, last = time.monotonic(), self._last
        if self._directory not in _LIMITS or now < self._next:
            return
        self._last, self._next = now, now + _EVERY_S
        budget, devices = _LIMITS[self._directory]
        before, passed = read_spent(Path(self._directory)), 0.0 if last is None else now - last
        running = sum(trial.status == "RUNNING" for trial in trials)
        spent = Spent(before.seconds + passed, before.device_seconds + passed * running * devices)
        if budget.spent_by(spent):
            spent = replace(spent, out=True)
            signal.raise_signal(signal.SIGUSR1)  # Tune keeps the state of every trial and returns
        _keep(Path(self._directory), spent)


def _keep(directory: Path, spent: Spent) -> None:
    staged = directory / ".budget.json"
    staged.write_text(json.dumps(asdict(spent)), encoding="utf-8")
    staged.replace(directory / "budget.json")
