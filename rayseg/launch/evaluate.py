"""Scores of a checkpoint by several workers of a cluster: each image counts once, and counts are summed once."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.distributed as dist

import ray
from rayseg.build import Components, evaluate, trained_config
from rayseg.errors import RaysegError
from rayseg.launch.cluster import connect, require_resources, use_gpu, worker_resources
from rayseg.launch.ray_train import import_paths

__all__ = ["evaluate_on_ray"]


def evaluate_on_ray(
    checkpoint: str | Path,
    *,
    workers: int,
    split: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    components: Components | None = None,
) -> dict[str, float]:
    """What ``rayseg.evaluate`` gives, computed by ``workers`` processes that share the images.

    Counts are whole numbers, so scores are equal to the last bit for any number of workers; losses are up to rounding.

    Args:
        checkpoint: directory of a checkpoint that every node sees.
        workers: how many, each with the resources of a training worker (``scaling``).
        split: see ``rayseg.evaluate``.
        overrides: see ``rayseg.evaluate``.
        components: see ``rayseg.evaluate``.

    Raises:
        ConfigError: the cluster does not have the workers, or the data cannot be opened.
        CheckpointError: there is no whole checkpoint.
        RaysegError: a worker died.

    Example:
        >>> evaluate_on_ray("runs/camvid/checkpoints/step_00000300", workers=2)["val/mIoU"]  # doctest: +SKIP
        0.612
    """
    path = Path(checkpoint).expanduser().resolve()
    config = trained_config(path, overrides).with_({"scaling.workers": workers})
    connect()
    require_resources(config)
    resources = worker_resources(config)
    options = {
        "num_cpus": resources["CPU"],
        "num_gpus": resources.get("GPU", 0),
        "runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(import_paths())}},
    }
    scorers = [ray.remote(_Scorer).options(**options).remote() for _ in range(workers)]
    try:
        group = {"backend": "nccl" if use_gpu(config) else "gloo", "init_method": ray.get(scorers[0].address.remote())}
        asked = {"split": split, "overrides": overrides, "components": components}
        running = [
            scorer.scores.remote({**group, "rank": rank, "world_size": workers}, str(path), asked)
            for rank, scorer in enumerate(scorers)
        ]
        return _agreed(running)
    finally:
        for scorer in scorers:
            ray.kill(scorer)


class _Scorer:
    """One of the workers."""

    def address(self) -> str:
        """Where the group can meet: a free port of this worker's node."""
        with socket.socket() as free:
            free.bind(("", 0))
            return f"tcp://{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"

    def scores(self, group: Mapping[str, Any], checkpoint: str, asked: Mapping[str, Any]) -> dict[str, float]:
        """Scores of all, from this worker's share and those of the others."""
        dist.init_process_group(**group)
        try:
            return evaluate(checkpoint, **asked)
        finally:
            dist.destroy_process_group()


def _agreed(running: list[Any]) -> dict[str, float]:
    """The scores that all have; the first fault of any, for which the others would wait for ever."""
    found: dict[str, float] = {}
    while running:
        done, running = ray.wait(running, num_returns=1)
        try:
            found = ray.get(done[0])
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, RaysegError):
                raise error.cause from None
            raise RaysegError(f"a worker failed: {error}") from error
        except ray.exceptions.RayError as error:
            raise RaysegError(f"a worker died: {error}; start again, with fewer workers if memory was short") from error
    return found
