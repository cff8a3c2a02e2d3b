"""Every complaint about a config, all at once, before any worker starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from rayseg.build.averages import check_averages
from rayseg.build.colours import check_colours
from rayseg.build.data import Data, open_data
from rayseg.build.experiment import pick_device
from rayseg.build.freezing import probe_freezing
from rayseg.build.gradients import probe_gradients
from rayseg.build.hooks import check_monitors, try_hooks
from rayseg.build.inference import probe_windows
from rayseg.build.keeping import check_cache
from rayseg.build.kernels import check_kernels
from rayseg.build.metric_names import check_metric, check_metric_options
from rayseg.build.networks import classes_without_data, imported_parts
from rayseg.build.objects import (
    make_mix,
    make_model,
    make_plan,
    make_transforms,
)
from rayseg.build.optimizers import check_optimizer, try_optimizer
from rayseg.build.parts import Components, Parts, resolve_parts
from rayseg.build.probes import Size, probe_images, probe_mix, probe_model
from rayseg.build.resolve import Problems, call_hidden, caught
from rayseg.build.samplers import check_times
from rayseg.build.schedule_checks import check_schedules
from rayseg.build.speed import without_choices
from rayseg.build.start import probe_start
from rayseg.config import ExperimentConfig
from rayseg.data import micro_batches
from rayseg.engine import Plan
from rayseg.errors import Problem, ShapeError

__all__ = ["check", "hidden_arguments", "worker_counts"]


def check(config: ExperimentConfig, components: Components | None = None) -> list[Problem]:
    """Resolve every name and signature, open the data, build the model, try every part once, and return every problem.

    What has a fault is left out of what is tried, so that one fault is told once.

    Args:
        config: the experiment.
        components: name -> callable given by value.

    Returns:
        Problems in the order in which they were found; empty when the experiment can run.

    Example:
        >>> from rayseg.config import ExperimentConfig
        >>> [str(problem) for problem in check(ExperimentConfig().with_({"schedule.powr": 2}))]
        ["schedule.powr: 'poly' has no parameter 'powr'; it takes power, floor, reach. Did you mean 'power'?"]
    """
    config, problems = without_choices(config), Problems()
    parts = resolve_parts(config, components or {}, problems)
    _check_scaling(config, problems)
    check_optimizer(config, parts, problems)
    _check_storage(config.tracking.storage, problems)
    check_metric_options(config, problems)
    _check_trackers(config, problems)
    hooks = try_hooks(config, parts, problems)
    data = open_data(config, parts, problems)
    num_classes = classes_without_data(config) if data is None else len(data.class_names)
    model = None if parts.model is None else caught("model", problems, lambda: make_model(config, parts, num_classes))
    if model is not None and data is not None:
        probe_start(config, parts, model, num_classes, problems)
    optimizer = None
    if model is not None and parts.optimizer is not None:
        optimizer = try_optimizer(config, parts, model, problems)
    if data is not None and model is not None:
        probe_freezing(config, model, optimizer, len(data.train), problems)
    if data is not None:
        _try_with_data(config, parts, data, model, problems)
        check_monitors(config, hooks, data, problems)
    return problems.found


def hidden_arguments(config: ExperimentConfig, components: Components | None = None) -> list[str]:
    """Dotted paths of callables that take ``**kwargs``, so that a mistyped argument cannot be noticed.

    Example:
        >>> from rayseg.config import ExperimentConfig
        >>> config = ExperimentConfig().with_({"model": {"type": "my_model"}})
        >>> hidden_arguments(config, {"my_model": lambda num_classes, **own: None})
        ['model']
    """
    calls = resolve_parts(config, components or {}, Problems()).calls()
    targets = {path: call.target for path, call in calls.items()} | dict(imported_parts(config.model.kwargs))
    return [path for path, target in targets.items() if call_hidden(target)]


def worker_counts(config: ExperimentConfig) -> tuple[int, ...]:
    """The numbers of workers that a config allows at its limits.

    Example:
        >>> from rayseg.config import ExperimentConfig
        >>> worker_counts(ExperimentConfig().with_({"scaling.workers": [1, 4]}))
        (1, 4)
    """
    workers = config.scaling.workers
    return tuple(max(1, each) for each in ((workers,) if isinstance(workers, int) else workers))


def _check_scaling(config: ExperimentConfig, problems: Problems) -> None:
    """Every number of workers that an elastic run may have; the first that does not fit is told."""
    gpu, most = config.scaling.gpu, worker_counts(config)[-1]
    if config.scaling.workers == 0 and gpu not in {False, "auto"} and not torch.cuda.is_available():
        said = "true" if gpu is True else f"{gpu:g}"
        message = f"{said}, but this process has no GPU and scaling.workers is 0; give workers, or write auto or false"
        problems.add("scaling.gpu", message)
    if isinstance(gpu, float) and most > 1:
        message = f"{gpu:g}, but {most} workers of one run cannot share a GPU (NCCL refuses); give one worker, or write true"
        problems.add("scaling.gpu", message)
    if config.checkpoint.optimizer == "none" and config.scaling.workers != 0 and config.scaling.max_failures > 0:
        message = "none, but scaling.max_failures lets a run go on after a failure; set that to 0, or say newest"
        problems.add("checkpoint.optimizer", message)
    batch, counts = config.train.batch_size, worker_counts(config)
    if batch < counts[-1]:
        message = f"{batch} images for {counts[-1]} workers; give at least {counts[-1]}, or fewer workers"
        problems.add("train.batch_size", message)
        return
    for workers in range(counts[0], counts[-1] + 1):
        try:
            micro_batches(batch, workers, config.train.micro_batch)
        except ShapeError as error:
            problems.add("train.micro_batch", str(error))
            return


def _check_storage(storage: str, problems: Problems) -> None:
    """The directory must be one that can be made and written."""
    path = Path(storage).expanduser().absolute()
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir():
        problems.add("tracking.storage", f"{storage}: {there} is a file, expected a directory; name another one")
    elif not os.access(there, os.W_OK | os.X_OK):
        message = f"{storage}: {there} cannot be written to; change its permissions, or name another directory"
        problems.add("tracking.storage", message)


def _check_trackers(config: ExperimentConfig, problems: Problems) -> None:
    """Packages that a tracker needs and that do not come with rayseg."""
    wanted = {"tensorboard": config.tracking.tensorboard, "wandb": config.tracking.wandb is not None}
    for name in (name for name, used in wanted.items() if used and find_spec(name) is None):
        message = f"set, but the package {name!r} is not installed; pip install 'rayseg[{name}]', or remove this"
        problems.add(f"tracking.{name}", message)


def _smallest_batch(config: ExperimentConfig) -> int:
    """The fewest images that a batch norm takes its statistics of, over all numbers of workers that a run may have."""
    batch, counts = config.train.batch_size, worker_counts(config)
    together = config.model.norm in {"auto", "sync"}
    return min(
        batch // micro_batches(batch, workers, config.train.micro_batch) // (1 if together else workers)
        for workers in range(counts[0], counts[-1] + 1)
    )


def _try_with_data(config: ExperimentConfig, parts: Parts, data: Data, model: nn.Module | None, problems: Problems) -> None:
    num_images = len(data.train)
    check_cache(config, data, problems)
    _check_best(config, data.class_names, problems)
    _try_schedules(config, parts, num_images, data.class_names, problems)
    transforms = make_transforms(parts, problems)
    whole = len(transforms) == len(config.data.transforms)
    check_colours(config, transforms, problems)
    size = probe_images(config, data, transforms, problems) if whole else None
    channels: dict[str, int] = {}
    if model is not None and size is not None and not any(map(problems.has, ("train.batch_size", "train.micro_batch"))):
        channels = _try_model(config, parts, data, model, size, problems)
        if channels:
            probe_windows(config, model, data, problems)
    mix = make_mix(config, parts, data.class_names, None, num_images, problems)
    check_kernels(mix, config, pick_device(config), problems)
    probe_mix(mix, parts, len(data.class_names), channels, size, problems, batch_size=config.train.batch_size)


def _try_model(
    config: ExperimentConfig, parts: Parts, data: Data, model: nn.Module, size: Size, problems: Problems
) -> dict[str, int]:
    """As few images forward as training has; channels of each head."""
    images = torch.zeros(min(2, _smallest_batch(config)), 3, *size)
    channels = probe_model(model, parts, data.class_names, size, problems, images=images)
    if channels and worker_counts(config)[-1] > 1:
        probe_gradients(model, images, problems)
    return channels


def _try_schedules(
    config: ExperimentConfig, parts: Parts, num_images: int, class_names: Sequence[str], problems: Problems
) -> None:
    plan = caught("train", problems, lambda: make_plan(config, num_images))
    if plan is None:
        return
    _check_lengths(config, parts, plan, num_images, problems)
    check_averages(config, plan, num_images, problems)
    check_schedules(config, parts, num_images, plan, class_names, problems)


def _check_lengths(config: ExperimentConfig, parts: Parts, plan: Plan, num_images: int, problems: Problems) -> None:
    """What begins after the last step would never be used."""
    total = plan.total_steps
    if plan.eval_every > total and not plan.eval_at_end:
        problems.add(
            "eval.every", f"{plan.eval_every} of {total} steps: there would be no evaluation; give less, or set eval.at_end"
        )
    for head in parts.heads.values():
        if head.sampling is not None:
            check_times(head.sampling, head.sampling_path, config, num_images, total, problems)


def _check_best(config: ExperimentConfig, class_names: Sequence[str], problems: Problems) -> None:
    best, mode = ("checkpoint.best", config.checkpoint.best), ("checkpoint.mode", config.checkpoint.mode)
    check_metric(config, class_names, best, mode, problems)
