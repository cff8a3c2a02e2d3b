"""Resolved parts to objects: model, mix, plan."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rayseg.build.class_weights import make_class_weight
from rayseg.build.distillation import Distillation, other_data
from rayseg.build.networks import call_network, require_momentum
from rayseg.build.parts import HeadParts, Parts, is_of_sums, is_region
from rayseg.build.resolve import Problems, Resolved, caught, nearest
from rayseg.build.samplers import make_ramps
from rayseg.build.speed import in_memory_format
from rayseg.config import ExperimentConfig, Length, LossTerm
from rayseg.data import LabelCounts, Transform, steps_of
from rayseg.engine import LossScaler, Plan, borrowed_generators, set_generators
from rayseg.errors import ConfigError, Problem
from rayseg.losses import PIXEL_LOSSES, RegionLoss
from rayseg.mix import Head, Mix, Normalize, Term
from rayseg.models import Freeze, Freezing, prepare
from rayseg.sampling import all_pixels
from rayseg.types import MAIN_HEAD

__all__ = [
    "make_freezing",
    "make_mix",
    "make_model",
    "make_plan",
    "make_scaler",
    "make_transforms",
    "needs_counts",
    "num_steps",
]


def make_transforms(parts: Parts, problems: Problems) -> dict[str, Transform]:
    """Transforms by name, in the order in which they are applied."""
    made = {name: caught(f"data.transforms.{name}", problems, call) for name, call in parts.transforms.items()}
    return {name: transform for name, transform in made.items() if transform is not None}


def make_model(config: ExperimentConfig, parts: Parts, num_classes: int) -> nn.Module:
    """The network with the normalisation, dropout and order in memory that the config asks for; the same on every rank."""
    assert parts.model is not None
    norm = "sync" if config.model.norm == "auto" else config.model.norm
    require_momentum(parts.model, norm)
    with borrowed_generators():
        set_generators(config.seed)
        model = prepare(call_network(parts.model, _num_channels(config, num_classes)), norm=norm)
        return in_memory_format(model, config)


def _num_channels(config: ExperimentConfig, num_classes: int) -> int:
    if config.model.binary and num_classes != 2:
        message = f"one channel tells two classes apart, and the data has {num_classes}; set it to false"
        raise ConfigError([Problem("model.binary", message)])
    return 1 if config.model.binary else num_classes


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
    device: torch.device | None = None,
) -> Mix:
    """Heads and terms with their class weights as tensors.

    Args:
        config: the experiment.
        parts: resolved.
        class_names: C names, for weights given by name.
        counts: of the training set; needed where :func:`needs_counts`.
        num_images: in the training set, for a sampler that starts after some epochs.
        problems: faults of losses and class weights are added here; a term with a fault is left out.
        device: where class weights are, and the constants of losses that are modules; None: as they were made.
    """
    heads: dict[str, Head] = {}
    teachers: dict[str, Distillation] = {}
    voids = (config.data.ignore_index, *_ignored_classes(config, class_names, problems))
    for name, head in parts.heads.items():
        terms = {term: _make_term(head, term, class_names, counts, problems, device, teachers) for term in head.terms}
        for term, made in terms.items():
            if made is not None and (message := other_data(made.loss, config.data, () if head.target else class_names)):
                problems.add(f"{head.losses_path}.{term}", message)
        heads[name] = Head(
            terms={term: made for term, made in terms.items() if made is not None},
            sampler=_partial(head.sampler) if _chooses(name, head) else None,
            sampler_start=_sampler_start(config, head, num_images),
            sampler_schedule=make_ramps(head.sampling, head.sampling_path, config, num_images, problems),
            ignore_index=head.ignore_index,
            voids=tuple(label for label in voids if label != head.ignore_index),
            weight=head.weight,
            target=_partial(head.target),
        )
    return Mix(heads)


def _chooses(name: str, head: HeadParts) -> bool:
    """Whether a sampler has pixels to choose: one that is only inherited is left out where no loss would know of it."""
    if head.sampler is None or head.sampler.target is all_pixels:
        return False
    inherited = name != MAIN_HEAD and head.sampling_path == "sampling"
    return not (inherited and all(is_of_sums(loss.target) for _, loss in head.terms.values()))


def _ignored_classes(config: ExperimentConfig, class_names: Sequence[str], problems: Problems) -> list[int]:
    """Labels of the classes that no loss looks at."""
    names = list(class_names)
    for name in config.ignore_classes:
        if name not in names:
            problems.add("ignore_classes", f"no class {name!r}; classes: {', '.join(names)}.{nearest(name, names)}")
    if names and set(names) <= set(config.ignore_classes):
        problems.add("ignore_classes", "every class is ignored, so nothing would be learned; leave some out")
    return [names.index(name) for name in config.ignore_classes if name in names]


def _partial(call: Resolved | None) -> partial[Any] | None:
    return None if call is None else partial(call.target, **call.kwargs)


def _make_term(
    head: HeadParts,
    name: str,
    class_names: Sequence[str],
    counts: LabelCounts | None,
    problems: Problems,
    device: torch.device | None,
    teachers: dict[str, Distillation],
) -> Term | None:
    """A term; heads that inherit a teacher share it, which is then asked once for each batch."""
    term, call = head.terms[name]
    path = f"{head.losses_path}.{name}"
    loss = teachers.get(path) or caught(path, problems, lambda: call() if inspect.isclass(call.target) else _partial(call))
    if isinstance(loss, Distillation):
        teachers[path] = loss
    if is_region(call.target) and loss is not None and not isinstance(loss, RegionLoss):
        problems.add(path, f"{call.name!r} has from_sums and no per_image; add per_image: bool = False")
        loss = None
    if isinstance(loss, nn.Module):
        loss = loss.to(device)
        _require_no_parameters(loss, call.name, path, problems)
    class_weight = make_class_weight(head, name, class_names, counts, f"{path}.class_weight", problems)
    class_weight = None if class_weight is None else class_weight.to(device)
    return None if loss is None else _term(term, call, loss, class_weight, _partial(head.targets.get(name)))


def _require_no_parameters(loss: nn.Module, name: str, path: str, problems: Problems) -> None:
    learned = [parameter for parameter, value in loss.named_parameters() if value.requires_grad]
    if learned:
        message = f"{name!r} has parameters ({', '.join(learned)}) that nothing would train; put them into the model, or make "
        problems.add(path, f"{message}them constants with register_buffer")


def _term(
    term: LossTerm,
    call: Resolved,
    loss: Callable[..., Any],
    class_weight: Tensor | None,
    target: Callable[..., Tensor] | None,
) -> Term:
    returns_map = call.target in (*PIXEL_LOSSES.values(), Distillation)
    normalize: Normalize = term.normalize or "weights"
    return Term(loss, term.weight, normalize, term.scope, class_weight, returns_map, target)


def _sampler_start(config: ExperimentConfig, head: HeadParts, num_images: int) -> int:
    start = None if head.sampling is None else head.sampling.start
    return 0 if start is None else num_steps(start, config, num_images)


def make_freezing(config: ExperimentConfig, model: nn.Module, num_images: int) -> Freezing | None:
    """What the config freezes, and until which step; None where it freezes nothing.

    Args:
        config: the experiment.
        model: as it was made: its parameters are all in the optimizer already.
        num_images: in the training set.

    Raises:
        ConfigError: a rule selects nothing, or nothing would be left to train.
    """
    if not config.freeze:
        return None
    rules = {
        name: Freeze(rule.match, None if rule.until is None else num_steps(rule.until, config, num_images), rule.statistics)
        for name, rule in config.freeze.items()
    }
    return Freezing(model, rules)


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
        precision="fp32" if config.train.precision == "auto" else config.train.precision,
        clip_norm=config.train.clip_norm,
        clip_norm_type=float(config.train.clip_norm_type),
        clip_value=config.train.clip_value,
        best=config.checkpoint.best,
        mode=config.checkpoint.mode,
        resume_state=config.checkpoint.optimizer,
        images_per_step=config.train.batch_size,
        images_per_epoch=num_images,
    )


def make_scaler(config: ExperimentConfig) -> LossScaler | None:
    """What scales the loss, which only fp16 needs."""
    if config.train.precision != "fp16":
        return None
    scale = config.train.loss_scale
    return LossScaler() if scale is None or isinstance(scale, str) else LossScaler(scale=scale, dynamic=False)
