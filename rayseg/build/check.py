"""Every complaint about a config, all at once, before any worker starts."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from rayseg.build.data import Data, open_data
from rayseg.build.objects import caught, make_mix, make_model, make_optimizer, make_plan, make_schedule
from rayseg.build.parts import Components, HeadParts, Parts, resolve_parts
from rayseg.build.resolve import Problems, call_hidden, nearest
from rayseg.config import ExperimentConfig
from rayseg.data import micro_batches
from rayseg.errors import Problem, ShapeError
from rayseg.mix import Mix
from rayseg.models import named_logits
from rayseg.types import MAIN_HEAD

__all__ = ["check", "hidden_arguments", "worker_counts"]


def check(config: ExperimentConfig, components: Components | None = None) -> list[Problem]:
    """Resolve every name and signature, open the data, build the model once, and return every problem.

    Args:
        config: the experiment.
        components: name -> callable given by value.

    Returns:
        Problems in the order in which they were found; empty when the experiment can run.

    Example:
        >>> from rayseg.config import ExperimentConfig
        >>> [str(problem) for problem in check(ExperimentConfig().with_({"schedule.powr": 2}))]
        ["schedule.powr: 'poly' has no parameter 'powr'; it takes power, floor. Did you mean 'power'?"]
    """
    problems = Problems()
    parts = resolve_parts(config, components or {}, problems)
    _check_scaling(config, problems)
    _check_optimizer(config, parts, problems)
    data = open_data(config, parts, problems)
    size = None if data is None else data.pad_size
    for name, head in parts.heads.items():
        _check_min_kept(head, "sampling" if name == MAIN_HEAD else f"heads.{name}.sampling", size, problems)
    if data is None or problems.found:
        return problems.found
    _check_with_data(config, parts, data, problems)
    return problems.found


def _check_with_data(config: ExperimentConfig, parts: Parts, data: Data, problems: Problems) -> None:
    num_images = len(data.train)
    mix = make_mix(config, parts, data.class_names, None, num_images, problems)
    plan = caught("train", problems, lambda: make_plan(config, num_images))
    if plan is not None:
        schedules = caught("schedule", problems, lambda: make_schedule(config, parts, num_images))
        if schedules is not None:
            _check_multipliers(schedules, plan.total_steps, problems)
    _check_best(config, data.class_names, problems)
    _check_pad(data, problems)
    model = caught("model", problems, lambda: make_model(config, parts, len(data.class_names)))
    if model is None:
        return
    caught("optim", problems, lambda: make_optimizer(config, parts, model))
    _check_heads(model, parts, data, problems)
    if not problems.found:
        _probe_losses(mix, len(data.class_names), problems)


def hidden_arguments(config: ExperimentConfig, components: Components | None = None) -> list[str]:
    """Where a callable takes ``**kwargs``, so that a mistyped argument cannot be noticed."""
    parts = resolve_parts(config, components or {}, Problems())
    named = {"data.dataset": parts.dataset, "model": parts.model, "optim": parts.optimizer, "schedule": parts.schedule}
    for head_name, head in parts.heads.items():
        named |= {f"{head_name} loss {name}": found for name, (_, found) in head.terms.items()}
    named |= {f"hooks.{name}": hook for name, hook in parts.hooks.items()}
    return [path for path, found in named.items() if found is not None and call_hidden(found.target)]


def worker_counts(config: ExperimentConfig) -> tuple[int, ...]:
    """The numbers of workers that a config allows at its limits."""
    workers = config.scaling.workers
    return tuple(max(1, each) for each in ((workers,) if isinstance(workers, int) else workers))


def _check_scaling(config: ExperimentConfig, problems: Problems) -> None:
    batch = config.train.batch_size
    for workers in worker_counts(config):
        if batch < workers:
            problems.add("train.batch_size", f"{batch} images for {workers} workers; give at least {workers}, or fewer workers")
            continue
        try:
            micro_batches(batch, workers, config.train.micro_batch)
        except ShapeError as error:
            problems.add("train.micro_batch", str(error))


def _check_optimizer(config: ExperimentConfig, parts: Parts, problems: Problems) -> None:
    if parts.optimizer is None:
        return
    takes = inspect.signature(parts.optimizer.target).parameters
    open_ended = call_hidden(parts.optimizer.target)
    if "weight_decay" not in takes and not open_ended and config.optim.weight_decay > 0:
        problems.add("optim.weight_decay", f"{config.optim.type!r} takes no weight decay; set it to 0")
    if config.schedule.momentum is not None and not {"momentum", "betas"} & set(takes):
        problems.add("schedule.momentum", f"set, but {config.optim.type!r} has neither momentum nor betas; remove it")


def _check_min_kept(head: HeadParts, path: str, size: tuple[int, int] | None, problems: Problems) -> None:
    if head.sampler is None or size is None:
        return
    min_kept = head.sampler.kwargs.get("min_kept")
    if isinstance(min_kept, int) and min_kept >= size[0] * size[1]:
        problems.add(
            f"{path}.min_kept",
            f"{min_kept} of the {size[0]}x{size[1]} = {size[0] * size[1]} pixels of a crop would keep every pixel; "
            "give fewer, or a fraction such as 0.1",
        )


def _check_multipliers(schedules: tuple[object, object], total_steps: int, problems: Problems) -> None:
    for path, schedule in zip(("schedule", "schedule.momentum"), schedules, strict=True):
        if not callable(schedule):
            continue
        for step in sorted({0, total_steps // 2, total_steps - 1}):
            value = caught(path, problems, lambda at=step, call=schedule: call(at, total_steps))
            if value is not None and (not math.isfinite(value) or value < 0):
                problems.add(
                    path, f"the multiplier at step {step} of {total_steps} is {value}; expected a finite number, 0 or more"
                )
                break


def _check_best(config: ExperimentConfig, class_names: Sequence[str], problems: Problems) -> None:
    per_class = [f"val/{kind}/{name}" for kind in ("IoU", "Acc") for name in class_names]
    losses = ["val/loss", *(f"val/loss/{name}" for name in config.losses)]
    known = ["val/mIoU", "val/mAcc", "val/aAcc", *per_class, *losses]
    if config.checkpoint.best not in known and not config.hooks:
        close = nearest(config.checkpoint.best, known)
        problems.add(
            "checkpoint.best",
            f"no metric is called {config.checkpoint.best!r}; known: {', '.join(known[:3])}, val/IoU/<class>, val/loss.{close}",
        )
    if config.checkpoint.best.startswith("val/loss") and config.checkpoint.mode == "max":
        problems.add("checkpoint.mode", "a larger loss is not better; set it to min")


def _check_pad(data: Data, problems: Problems) -> None:
    if data.pad_size is not None:
        return
    sizes = {data.train[index].image.shape[:2] for index in range(min(8, len(data.train)))}
    if len(sizes) > 1:
        problems.add(
            "data.pad_size",
            f"training images differ in size ({sorted(sizes)[:3]}) and nothing brings them to one; "
            "set it, or add a random_crop",
        )


def _check_heads(model: nn.Module, parts: Parts, data: Data, problems: Problems) -> None:
    size = data.pad_size or data.train[0].image.shape[:2]
    model.eval()
    device = next(model.parameters()).device
    output = caught("model", problems, lambda: named_logits(_no_grad(model, torch.zeros(1, 3, *size, device=device))))
    if output is None:
        return
    for name in sorted(set(parts.heads) - set(output)):
        problems.add(
            f"heads.{name}", f"the model has no such head; it has {', '.join(output)}. Remove it, or switch it on in the model"
        )
    for name in sorted(set(output) - set(parts.heads)):
        problems.add(
            f"heads.{name}",
            f"the model has this head and the config does not say how it is trained; add heads.{name}: {{}} "
            "to inherit the main head's losses at weight 0.4",
        )
    for name, logits in output.items():
        if logits.shape[1] != len(data.class_names) and parts.heads.get(name) is not None and parts.heads[name].target is None:
            problems.add("model", f"head {name!r} gives {logits.shape[1]} channels for {len(data.class_names)} classes")


def _no_grad(model: nn.Module, images: torch.Tensor) -> object:
    with torch.no_grad():
        return model(images)


def _probe_losses(mix: Mix, num_classes: int, problems: Problems) -> None:
    """Call every loss once on a small batch: what it returns decides how it is normalised."""
    target = torch.arange(2 * 8 * 8).view(2, 8, 8) % num_classes
    logits = torch.linspace(-1, 1, 2 * num_classes * 64).view(2, num_classes, 8, 8)
    for name, head in mix.heads.items():
        target = target.clone()
        target[0, 0, 0] = head.ignore_index
        for term_name, term in head.terms.items():
            alone = Mix({MAIN_HEAD: replace(head, terms={term_name: term}, sampler=None)})
            path = f"losses.{term_name}" if name == MAIN_HEAD else f"heads.{name}.losses.{term_name}"
            probe = caught(path, problems, partial(alone, {MAIN_HEAD: logits.clone().requires_grad_()}, target, step=0))
            if probe is not None and not torch.isfinite(probe.total):
                problems.add(
                    path, f"gives {float(probe.total)} on a small batch with one ignored pixel; expected a finite number"
                )
