"""A driver that a test kills: ``driver.py sweep|train STORAGE``. The run and the sweep are long, the steps slow."""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

import rayseg
from rayseg.config import ExperimentConfig
from rayseg.space import choice
from rayseg.testing import tiny_experiment


class Slow:
    """Sleeps after each step, so that a test has time to kill."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def after_step(self, _run: Any, _parts: Any) -> None:
        time.sleep(self._seconds)


def experiment(storage: str, name: str, **overrides: Any) -> ExperimentConfig:
    """Twelve steps, an evaluation at every third."""
    recorded = {"tracking.storage": storage, "tracking.name": name, "tracking.mlflow": {"experiment": "tests"}}
    slow = {"train.steps": 12, "eval.every": 3, "hooks.slow": {"type": "slow", "seconds": 0.5}}
    return tiny_experiment(**{**recorded, **slow, **overrides})


def main(what: str, storage: str) -> None:
    """Run it to the end, as in the foreground."""
    # What a shell starts in the background ignores Ctrl-C, and so do its children, such as this one of the tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if what == "train":
        rayseg.train(experiment(storage, "run", **{"scaling.workers": 2}), components={"slow": Slow})
        return
    space = {"optim.lr": choice([1e-2, 1e-3, 1e-4])}
    base = experiment(storage, "sweep")
    found = rayseg.sweep(base, space, searcher="grid", scheduler=None, max_concurrent=2, components={"slow": Slow})
    sys.stdout.write(f"{found}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
