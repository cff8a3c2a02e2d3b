"""A driver that a test kills, or that loses a node: ``driver.py WHAT STORAGE``, see ``main``. Runs are long, steps slow."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rayseg
from rayseg.config import ExperimentConfig
from rayseg.data import SyntheticStreets
from rayseg.space import choice, log_uniform
from rayseg.testing import tiny_experiment
from rayseg.types import Sample


class Slow:
    """Sleeps after each step, so that a test has time to kill."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def after_step(self, _run: Any, _parts: Any) -> None:
        time.sleep(self._seconds)


class LosesNode:
    """Ends the node of the process by SIGKILL after a step, once, unless it is the driver's."""

    def __init__(self, marker: str, head: str, after: int) -> None:
        self._marker, self._head, self._after = Path(marker), head, after

    def after_step(self, run: Any, _parts: Any) -> None:
        import ray

        if (
            run.state.step == self._after
            and ray.get_runtime_context().get_node_id() != self._head
            and not self._marker.exists()
        ):
            self._marker.touch()
            os.kill(os.getppid(), signal.SIGKILL)  # the parent of a worker is its node's daemon
            time.sleep(60)  # and ends its workers


class Decoded(SyntheticStreets):
    """Writes a line for each sample that a trial makes on a node."""

    def __init__(self, split: str, *, log: str) -> None:
        super().__init__(split, length=4, size=(32, 48))
        self._name, self._log = split, Path(log)

    def __getitem__(self, index: int) -> Sample:
        import ray

        if ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(f"{ray.get_runtime_context().get_node_id()} {self._name} {index}\n")
        return super().__getitem__(index)


@contextmanager
def two_nodes() -> Iterator[str]:
    """A cluster of two nodes with one CPU each, joined; the id of the driver's."""
    from ray.cluster_utils import Cluster

    import ray

    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": quick})
    cluster.add_node(num_cpus=1)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        yield str(ray.get_runtime_context().get_node_id())
    finally:
        ray.shutdown()
        cluster.shutdown()  # which also forgets the address that it has left for others


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
    if what == "node":
        with two_nodes() as head:
            lost = {"type": "lost", "marker": f"{storage}/lost", "head": head, "after": 5}
            kept = {
                "tracking.pictures": 0,
                "data.cache": "auto",
                "data.dataset": {"type": "decoded", "log": f"{storage}/decoded"},
            }
            search(experiment(storage, "sweep", **{"hooks.lost": lost, **kept}), [1e-2])
        return
    if what == "population":
        breed(experiment(storage, "sweep", **{"hooks.slow.seconds": 0.2}))
        return
    search(experiment(storage, "sweep"), [1e-2, 1e-3, 1e-4])


def breed(base: ExperimentConfig) -> None:
    """A population of two with four intervals."""
    asked: dict[str, Any] = {"scheduler": "pbt", "num_samples": 2, "perturb_every": 3, "quantile": 0.5, "max_concurrent": 2}
    found = rayseg.sweep(base, {"optim.lr": log_uniform(1e-6, 1e-2)}, components={"slow": Slow}, **asked)
    sys.stdout.write(f"{found}\n")


def search(base: ExperimentConfig, rates: list[float]) -> None:
    """A trial for each rate, and the baseline."""
    parts, space = {"slow": Slow, "lost": LosesNode, "decoded": Decoded}, {"optim.lr": choice(rates)}
    found = rayseg.sweep(base, space, searcher="grid", scheduler=None, max_concurrent=2, components=parts)
    sys.stdout.write(f"{found}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
