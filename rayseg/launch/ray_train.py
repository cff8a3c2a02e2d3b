"""One run by a group of Ray Train workers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import ray.train
from ray.train.torch import TorchTrainer

import ray
from rayseg.build import Components
from rayseg.config import ExperimentConfig
from rayseg.engine.history import History
from rayseg.errors import RaysegError
from rayseg.launch.cluster import connect, require_resources, use_gpu, worker_resources
from rayseg.launch.desk import DeskStore, Echo, open_desk
from rayseg.launch.ray_worker import fault_key, train_worker
from rayseg.launch.records import open_record, open_store
from rayseg.launch.run import RunInfo, TrainResult, prepare_directory
from rayseg.tracking import RunStatus

__all__ = ["make_trainer", "run_trainer", "train_on_ray"]


def train_on_ray(config: ExperimentConfig, components: Components) -> TrainResult:
    """Train with ``scaling.workers`` Train workers; see ``rayseg.train``."""
    connect()
    require_resources(config)
    directory = prepare_directory(config)
    store = open_store(config)
    desk = open_desk(None if store is None else store.uri, "" if store is None else store.experiment)
    records = DeskStore(desk) if store is not None else None
    run_id = open_record(records, config, directory)
    info = RunInfo(config.to_dict(), str(directory), run_id, components)
    echo = Echo(desk, sys.stdout)
    status: RunStatus = "FAILED"
    try:
        result = run_trainer(make_trainer(config, info, desk), info, desk)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        echo.close()
        if records is not None and run_id is not None:
            records.finish(run_id, status)
        ray.kill(desk)
    return _brought_home(config, result, run_id, directory)


def make_trainer(config: ExperimentConfig, info: RunInfo, desk: Any, trial: Any = None) -> TorchTrainer:
    """The trainer of a run; its checkpoints are kept in the run's directory by Ray.

    Args:
        config: the experiment.
        info: what every worker is told.
        desk: the one writer.
        trial: in a sweep, the actor that is asked whether to go on.
    """
    directory = Path(info.directory)
    keep = config.checkpoint
    return TorchTrainer(
        train_worker,
        train_loop_config={"info": info, "desk": desk, "trial": trial},
        scaling_config=ray.train.ScalingConfig(
            num_workers=config.scaling.workers, use_gpu=use_gpu(config), resources_per_worker=worker_resources(config)
        ),
        run_config=ray.train.RunConfig(
            name=directory.name,
            storage_path=str(directory.parent),
            failure_config=ray.train.FailureConfig(max_failures=config.scaling.max_failures, controller_failure_limit=3),
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=keep.keep, checkpoint_score_attribute=keep.best, checkpoint_score_order=keep.mode
            ),
            worker_runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(_import_paths())}},
        ),
    )


def run_trainer(trainer: TorchTrainer, info: RunInfo, desk: Any) -> ray.train.Result:
    """``fit``, with a fault of the user's own raised as itself.

    Raises:
        RaysegError: the fault that a worker left at the desk.
    """
    try:
        result = trainer.fit()
    except ray.train.TrainingFailedError as error:
        fault = ray.get(desk.take.remote(fault_key(info)))
        if isinstance(fault, RaysegError):
            raise fault from None
        raise RaysegError(_told(error)) from error
    fault = ray.get(desk.take.remote(fault_key(info)))
    if isinstance(fault, RaysegError):
        raise fault
    return result


def _told(error: Exception) -> str:
    failures = getattr(error, "worker_failures", None) or {}
    first = "; ".join(f"rank {rank}: {type(each).__name__}: {each}" for rank, each in list(failures.items())[:1])
    return f"the workers failed: {first or error}"


def _import_paths() -> list[str]:
    """Where the driver imports from, so that an import path that works here works in every worker."""
    return [os.path.abspath(path) for path in sys.path if path == "" or os.path.isdir(path)]  # noqa: PTH100, PTH112


def _brought_home(config: ExperimentConfig, result: ray.train.Result, run_id: str | None, directory: Path) -> TrainResult:
    history = History(directory / "metrics.jsonl").rows()
    best = result.get_best_checkpoint(config.checkpoint.best, config.checkpoint.mode) or result.checkpoint
    last = result.checkpoint
    return TrainResult(
        config=config,
        metrics=dict(history[-1][1]) if history else {},
        history=history,
        checkpoint=None if best is None else Path(best.path),
        last_checkpoint=None if last is None else Path(last.path),
        run_id=run_id,
        directory=directory,
    )
