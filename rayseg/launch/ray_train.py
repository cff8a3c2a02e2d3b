"""One run by a group of Ray Train workers."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.constants import CHECKPOINT_MANAGER_SNAPSHOT_FILENAME

import ray
from rayseg.build import Components, Decision, keeping, open_choices, pick_device
from rayseg.config import ExperimentConfig
from rayseg.engine.checkpoint import best_whole, newest_whole
from rayseg.engine.history import History
from rayseg.errors import RaysegError
from rayseg.launch.cluster import can_grow, cluster_use, connect, require_resources, use_gpu, worker_resources
from rayseg.launch.deciding import decided, measured_here
from rayseg.launch.desk import DeskStore, Echo, asked, opened_desk, require_store
from rayseg.launch.groups import give_back_groups, groups_of_this_job
from rayseg.launch.parts import Part, info_of, keep_schedule, left_of, parts_of, steps_done
from rayseg.launch.processes import for_workers, worker_function
from rayseg.launch.ray_worker import SCORE, fault_key
from rayseg.launch.records import closing, finisher, open_record
from rayseg.launch.run import RunInfo, TrainResult, prepare_directory, stopped_by
from rayseg.launch.telling import Telling, telling

__all__ = ["import_paths", "make_trainer", "measured_on_cluster", "run_trainer", "train_on_ray"]


def train_on_ray(base: ExperimentConfig, point: Mapping[str, Any], components: Components) -> TrainResult:
    """Train with ``scaling.workers`` Train workers; see ``rayseg.train``.

    Args:
        base: the experiment.
        point: a ``schedule`` of recipes that replace keys of it, if there is one.
        components: name -> callable given by value.
    """
    require_store(base)
    with telling(base, components, cluster_use) as told:
        told.doing("starting Ray")
        connect()
        require_resources(base)
        return _train(parts_of(point, decided(base, components, measured_on_cluster), 0), components, told)


def _train(parts: Sequence[Part], components: Components, told: Telling) -> TrainResult:
    config = parts[-1].config
    directory = prepare_directory(config)
    keep_schedule(parts, directory)
    before = groups_of_this_job()
    told.doing("opening the store")
    with opened_desk(config, str(directory)) as desk:
        records = None if config.tracking.mlflow is None else DeskStore(desk)
        run_id = open_record(records, config, directory)
        if records is not None and run_id is not None:
            told.say(records.link(run_id, config.tracking.storage))
        told.doing("starting the workers")
        echo = Echo(desk, told)
        try:
            with closing(finisher(records, run_id)), _interruptible(), keeping(config) as place:
                for part in left_of(parts, steps_done(directory)):
                    info = info_of(part, directory, run_id, components, other_recipe=len(parts) > 1, place=place)
                    run_trainer(make_trainer(part.config, info, desk), info, desk)
        finally:
            give_back_groups(groups_of_this_job() - before)
            echo.close()
    return _brought_home(config, run_id, directory)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Train answers Ctrl-C by ending its workers and then this process, and leaves its handler behind.

    Raises:
        KeyboardInterrupt: as everywhere else.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        raise KeyboardInterrupt from end
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


def measured_on_cluster(config: ExperimentConfig, components: Components) -> Decision:
    """By a task with the resources of one worker, whose process ends with it; joins the cluster.

    Raises:
        RaysegError: what is wrong with the experiment there, or that the process died.
    """
    connect()
    require_resources(config)
    resources = worker_resources(config)
    place = {"num_cpus": resources["CPU"], "num_gpus": resources.get("GPU", 0), "max_calls": 1, "max_retries": 1}
    task = ray.remote(**place)(_measured)
    try:
        found: Decision = asked(task.remote(config.to_dict(), components, import_paths()))
    except ray.exceptions.RayError as error:
        told = f"what is auto could not be measured ({type(error).__name__}: {str(error).strip().splitlines()[0]})"
        raise RaysegError(f"{told}; write a value for each of {', '.join(open_choices(config))}") from error
    return found


def _measured(config: dict[str, Any], components: Components, paths: list[str]) -> Decision:
    sys.path.extend(path for path in paths if path not in sys.path)
    found = measured_here(ExperimentConfig.from_dict(config), components)
    device = pick_device(ExperimentConfig.from_dict(config))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return replace(found, reasons=(*found.reasons, f"measured on {name} of node {ray.util.get_node_ip_address()}"))


class _Trainer(TorchTrainer):
    """Without Ray's keepers of placement groups (see ``groups.py``) and of its own data sets: two processes less a run."""

    def _create_default_callbacks(self) -> list[Any]:
        left_out = (PlacementGroupCleanerCallback, DatasetsCallback)
        return [each for each in super()._create_default_callbacks() if not isinstance(each, left_out)]


def make_trainer(config: ExperimentConfig, info: RunInfo, desk: Any, gate: Any = None) -> TorchTrainer:
    """The trainer of a run; its checkpoints are kept in the run's directory by Ray.

    Args:
        config: the experiment.
        info: what every worker is told.
        desk: the one writer.
        gate: in a sweep, the actor that is asked whether to go on.
    """
    directory = Path(info.directory)
    keep = config.checkpoint
    return _Trainer(
        worker_function,
        train_loop_config=for_workers(info, desk, gate),
        scaling_config=ray.train.ScalingConfig(
            num_workers=config.scaling.workers, use_gpu=use_gpu(config), resources_per_worker=worker_resources(config)
        ),
        run_config=ray.train.RunConfig(
            name=directory.name,
            storage_path=str(directory.parent),
            failure_config=ray.train.FailureConfig(
                max_failures=config.scaling.max_failures, controller_failure_limit=-1 if can_grow() else 3
            ),
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=keep.keep, checkpoint_score_attribute=SCORE, checkpoint_score_order=keep.mode
            ),
            worker_runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(import_paths())}},
        ),
    )


def run_trainer(trainer: TorchTrainer, info: RunInfo, desk: Any) -> None:
    """``fit``, with a fault of the user's own raised as itself.

    Ray writes what it knows of checkpoints over what it knew, and a kill may leave half of it, with which it begins no run; so
    the workers tell it anew which there are.

    Raises:
        RaysegError: the fault that a worker left at the desk.
    """
    (Path(info.directory) / CHECKPOINT_MANAGER_SNAPSHOT_FILENAME).unlink(missing_ok=True)
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        fault = ray.get(desk.take.remote(fault_key(info)))
        if isinstance(fault, RaysegError):
            raise fault from None
        raise RaysegError(_told(error)) from error
    fault = ray.get(desk.take.remote(fault_key(info)))
    if isinstance(fault, RaysegError):
        raise fault


def _told(error: Exception) -> str:
    failures = getattr(error, "worker_failures", None) or {}
    first = "; ".join(f"rank {rank}: {type(each).__name__}: {each}" for rank, each in list(failures.items())[:1])
    return f"the workers failed: {first or error}"


def import_paths() -> list[str]:
    """Where the driver imports from, so that an import path that works here works in every worker."""
    return [os.path.abspath(path) for path in sys.path if path == "" or os.path.isdir(path)]  # noqa: PTH100, PTH112


def _brought_home(config: ExperimentConfig, run_id: str | None, directory: Path) -> TrainResult:
    """What lies in the run's directory: Ray does not know what one process has added to it."""
    history = History(directory / "metrics.jsonl").rows()
    return TrainResult(
        config=config,
        metrics=dict(history[-1][1]) if history else {},
        history=history,
        checkpoint=best_whole(directory, history, config.checkpoint.best, config.checkpoint.mode),
        last_checkpoint=newest_whole(directory),
        run_id=run_id,
        directory=directory,
        stopped=stopped_by(directory),
    )
