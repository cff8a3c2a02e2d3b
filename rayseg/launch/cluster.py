"""Connecting to Ray, and asking whether it can run what is wanted before anything waits for ever.

A cluster is joined where ``RAY_ADDRESS`` names one; otherwise one is started on this machine for as long as this process lives,
with as many CPUs as it has cores. What a cluster does not have is refused. Where an autoscaler adds nodes when they are asked
for, ``RAYSEG_CLUSTER_CAN_GROW=1`` (set in cluster.yaml) says so: then nothing is refused, and workers may take half an hour to
start.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import ray
from rayseg.build import worker_counts
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError, Problem

__all__ = [
    "can_grow",
    "cluster_use",
    "connect",
    "fitting_workers",
    "require_resources",
    "resource_problems",
    "use_gpu",
    "worker_resources",
]

#: Ray Train passes one report per interval on; its default of 2 s would be the length of every evaluation.
_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nobody reads them again
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "60",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a relative path means the same in a worker as in the job's directory
}


def connect() -> None:
    """Join the cluster that ``RAY_ADDRESS`` names (Ray sets it in every job), or start a local one for this process."""
    for name, value in {**_ENVIRONMENT, "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "1800" if can_grow() else "600"}.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.train").setLevel(logging.WARNING)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a trial that failed is told by our own line, and in the table
    if ray.is_initialized():
        return
    where: dict[str, Any] = (
        {"address": "auto"} if os.environ.get("RAY_ADDRESS") else {"address": "local", "include_dashboard": False}
    )
    ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)


def use_gpu(config: ExperimentConfig) -> bool:
    """Whether workers get a GPU each, or a share of one: as the config says, or if the cluster has any."""
    if config.scaling.gpu == "auto":
        return bool(ray.cluster_resources().get("GPU", 0) > 0)
    return config.scaling.gpu is not False


def worker_resources(config: ExperimentConfig) -> dict[str, float]:
    """What one worker takes."""
    share = config.scaling.gpu if isinstance(config.scaling.gpu, float) else 1.0
    gpu = {"GPU": share} if use_gpu(config) else {}
    return {"CPU": config.scaling.cpus_per_worker, **gpu}


def fitting_workers(have: Mapping[str, float], each: Mapping[str, float]) -> int:
    """How many workers fit at a time; each share of a GPU lies in one of them.

    Args:
        have: resources of a cluster.
        each: resources of a worker, as of :func:`worker_resources`.

    Example:
        >>> fitting_workers({"CPU": 8.0, "GPU": 2.0}, {"CPU": 1.0, "GPU": 0.4})
        4
    """

    def fit(kind: str, part: float) -> int:
        whole = have.get(kind, 0.0)
        return int(whole) * int(1 / part + 1e-9) if kind == "GPU" and part < 1 else int(whole / part + 1e-9)

    return min(fit(kind, part) for kind, part in each.items() if part > 0)


def resource_problems(config: ExperimentConfig) -> list[Problem]:
    """Why a run could never start on this cluster; Ray itself would wait without a word.

    What is there now is counted, unless an autoscaler is at work.
    """
    if can_grow():
        return []
    have = ray.cluster_resources()
    smallest = worker_counts(config)[0]
    problems = []
    for kind, each in worker_resources(config).items():
        needed = each * smallest
        if needed > have.get(kind, 0):
            problems.append(
                Problem(
                    "scaling.workers",
                    f"{smallest} workers with {each:g} {kind} each need {needed:g}, the cluster has {have.get(kind, 0):g}; "
                    f"use fewer workers, change scaling.{'gpu' if kind == 'GPU' else 'cpus_per_worker'}, or add nodes",
                )
            )
    return problems


def require_resources(config: ExperimentConfig) -> None:
    """Raise what :func:`resource_problems` finds.

    Raises:
        ConfigError: the cluster can never run it.
    """
    problems = resource_problems(config)
    if problems:
        raise ConfigError(problems)


def can_grow() -> bool:
    """Whether nodes come when they are asked for: ``RAYSEG_CLUSTER_CAN_GROW=1``."""
    return os.environ.get("RAYSEG_CLUSTER_CAN_GROW", "0") == "1"


def cluster_use() -> str:
    """How many CPUs and GPUs of the cluster are in use; nothing while there is none."""
    if not ray.is_initialized():
        return ""
    try:
        have, free = ray.cluster_resources(), ray.available_resources()
    except (ray.exceptions.RayError, RuntimeError, ConnectionError):
        return ""
    kinds = [kind for kind in ("CPU", "GPU") if have.get(kind)]
    return ", ".join(f"{have[kind] - free.get(kind, 0.0):g} of {have[kind]:g} {kind}" for kind in kinds)
