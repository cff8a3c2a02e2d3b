"""Resolved parts to objects: model, mix, optimizer, schedules, plan."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rayseg.build.parts import HeadParts, Parts, is_region
from rayseg.build.resolve import Problems, Resolved, nearest
from rayseg.config import ExperimentConfig, Length, LossTerm, Spec
from rayseg.data import LabelCounts, steps_of
from rayseg.engine import Plan, Schedule
from rayseg.errors import ConfigError, RaysegError
from rayseg.losses import LOSSES
from rayseg.mix import Head, Mix, Normalize, Term
from rayseg.models import prepare
from rayseg.optim import parameter_groups, with_warmup

__all__ = ["make_mix", "make_model", "make_optimizer", "make_plan", "make_schedule", "needs_counts", "num_steps"]


def make_model(config: ExperimentConfig, parts: Parts, num_classes: int) -> nn.Module:
    """The network with the normalisation layers and dropout that the config asks for; the same on every rank."""
    assert parts.model is not None
    torch.manual_seed(config.seed)
    norm = "sync" if config.model.norm == "auto" else config.model.norm
    return prepare(parts.model(num_classes), norm=norm)


def needs_counts(parts: Parts) -> bool:
    """Whether a class weight is computed from the label counts of the training set."""
    return any(head.rules for head in parts.heads.values())


def make_mix(
    config: ExperimentConfig,
    parts: Parts,
    class_names: Sequence[str],
    counts: LabelCounts | None,
    num_images: int,
    problems: Problems,
) -> Mix:
    """Heads and terms with their class weights as tensors.

    Args:
        config: the experiment.
        parts: resolved.
        class_names: C names, for weights given by name.
        counts: of the training set; needed where :func:`needs_counts`.
        num_images: in the training set, for a sampler that starts after some epochs.
        problems: faults in class weights are added here.
    """
    heads: dict[str, Head] = {}
    for name, head in parts.heads.items():
        path = "losses" if name == "main" or config.heads[name].losses is None else f"heads.{name}.losses"
        terms = {
            term_name: _make_term(
                term, found, _class_weight(head, term_name, term, class_names, counts, f"{path}.{term_name}", problems)
            )
            for term_name, (term, found) in head.terms.items()
        }
        heads[name] = Head(
            terms=terms,
            sampler=None if head.sampler is None else partial(head.sampler.target, **head.sampler.kwargs),
            sampler_start=_sampler_start(config, head, num_images),
            ignore_index=head.ignore_index,
            weight=head.weight,
            target=None if head.target is None else partial(head.target.target, **head.target.kwargs),
        )
    return Mix(heads)


def _make_term(term: LossTerm, found: Resolved, class_weight: Tensor | None) -> Term:
    loss: Callable[..., Any] = found() if inspect.isclass(found.target) else partial(found.target, **found.kwargs)
    built_in = found.target in LOSSES.values() and not is_region(found)
    normalize: Normalize = term.normalize or "weights"
    return Term(loss, term.weight, normalize, term.scope, class_weight, returns_map=built_in)


def _class_weight(
    head: HeadParts,
    name: str,
    term: LossTerm,
    class_names: Sequence[str],
    counts: LabelCounts | None,
    path: str,
    problems: Problems,
) -> Tensor | None:
    given = term.class_weight
    path = f"{path}.class_weight"
    if given is None:
        return None
    if isinstance(given, Spec):
        if counts is None or name not in head.rules:
            return None
        try:
            weights: Tensor = head.rules[name](torch.tensor(counts.pixels), torch.tensor(counts.image_pixels))
        except ConfigError as error:
            problems.take(error, path)
            return None
        return weights
    if isinstance(given, Mapping):
        return _weights_by_name(given, class_names, path, problems)
    if len(given) != len(class_names):
        problems.add(path, f"{len(given)} weights for {len(class_names)} classes ({', '.join(class_names)}); give one for each")
        return None
    return torch.tensor(given)


def _weights_by_name(given: Mapping[str, float], class_names: Sequence[str], path: str, problems: Problems) -> Tensor | None:
    for name in given:
        if name not in class_names:
            problems.add(f"{path}.{name}", f"no such class; classes: {', '.join(class_names)}.{nearest(name, class_names)}")
    return torch.tensor([float(given.get(name, 1.0)) for name in class_names])


def _sampler_start(config: ExperimentConfig, head: HeadParts, num_images: int) -> int:
    start = None if head.sampling is None else head.sampling.start
    return 0 if start is None else num_steps(start, config, num_images)


def make_optimizer(config: ExperimentConfig, parts: Parts, model: nn.Module) -> Optimizer:
    """The optimizer over the config's parameter groups.

    Raises:
        ConfigError: a rule matches nothing, or an option cannot apply.
    """
    assert parts.optimizer is not None
    groups = parameter_groups(model, config.optim.groups, lr=config.optim.lr, weight_decay=config.optim.weight_decay)
    takes = inspect.signature(parts.optimizer.target).parameters
    decay = {"weight_decay": config.optim.weight_decay} if "weight_decay" in takes else {}
    optimizer: Optimizer = parts.optimizer(groups, lr=config.optim.lr, **decay)
    return optimizer


def make_schedule(config: ExperimentConfig, parts: Parts, num_images: int) -> tuple[Schedule, Schedule | None]:
    """Multipliers of learning rate and momentum as functions of the step.

    Raises:
        RaysegError: an argument out of range.
    """
    assert parts.schedule is not None
    schedule: Schedule = parts.schedule()
    warmup = config.schedule.warmup
    if warmup is not None:
        steps = num_steps(warmup.length, config, num_images)
        schedule = with_warmup(schedule, type=warmup.type, warmup_steps=steps, ratio=warmup.ratio)
    return schedule, None if parts.momentum is None else parts.momentum()


def num_steps(length: Length, config: ExperimentConfig, num_images: int) -> int:
    """A length in optimizer steps: ``ceil(epochs * images / batch_size)``, the one rule for every length."""
    return steps_of(length.steps, length.epochs, num_images, config.train.batch_size)


def make_plan(config: ExperimentConfig, num_images: int) -> Plan:
    """Every length in optimizer steps."""
    total = num_steps(config.train.length, config, num_images)
    every, saves = config.eval.every, config.checkpoint.every
    return Plan(
        total_steps=total,
        eval_every=max(1, total // 10) if every is None else num_steps(every, config, num_images),
        checkpoint_every=None if saves is None else num_steps(saves, config, num_images),
        log_every=num_steps(config.train.log_every, config, num_images),
        eval_at_end=config.eval.at_end,
        seed=config.seed,
        precision=config.train.precision,
        clip_norm=config.train.clip_norm,
        clip_value=config.train.clip_value,
        best=config.checkpoint.best,
        mode=config.checkpoint.mode,
    )


def caught(path: str, problems: Problems, make: Callable[[], Any]) -> Any:
    """What ``make`` returns, or None with its fault noted under ``path``."""
    try:
        return make()
    except ConfigError as error:
        problems.take(error, path if not any(each.path.startswith(path) for each in error.problems) else "")
    except (RaysegError, TypeError, ValueError, RuntimeError, ImportError, OSError) as error:
        problems.add(path, f"{type(error).__name__}: {error}" if not isinstance(error, RaysegError) else str(error))
    return None
