"""Parts tried once on little data, so that what fails at the first step fails before any worker starts.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rayseg.build.data import Data
from rayseg.build.parts import HeadParts, Parts, not_sampled
from rayseg.build.probe_samplers import probe_sampler
from rayseg.build.resolve import Problems, caught
from rayseg.config import ExperimentConfig, LossTerm
from rayseg.data import Transform, check_sample, sample_of
from rayseg.errors import ShapeError
from rayseg.losses import RegionLoss
from rayseg.mix import Head, Mix, Term, accepted_inputs
from rayseg.mix.pixels import head_target
from rayseg.models import named_logits, sample_keys
from rayseg.types import MAIN_HEAD, Sample

__all__ = ["probe_images", "probe_mix", "probe_model"]

#: Samples that are read and transformed.
_NUM_SAMPLES = 8

Size = tuple[int, int]


def probe_images(config: ExperimentConfig, data: Data, transforms: Mapping[str, Transform], problems: Problems) -> Size | None:
    """Transform the first samples of the run as training will; (height, width) px of a training image.

    Returns:
        None when a fault was found.
    """
    sizes: set[Size] = set()
    for k in range(min(_NUM_SAMPLES, len(data.train))):
        sample = _transformed(config, data, transforms, k, problems)
        if sample is None:
            return None
        height, width = sample.mask.shape
        sizes.add((height, width) if data.pad_size is None else (max(height, data.pad_size[0]), max(width, data.pad_size[1])))
    if len(sizes) > 1 and config.train.batch_size > 1:
        shown = ", ".join(f"{height}x{width}" for height, width in sorted(sizes)[:3])
        problems.add(
            "data.pad_size",
            f"training images differ in size after the transforms (height x width px: {shown}), and one batch needs one size; "
            "add a random_crop, or set this to at least the largest size",
        )
        return None
    return max(sizes)


def _transformed(
    config: ExperimentConfig, data: Data, transforms: Mapping[str, Transform], k: int, problems: Problems
) -> Sample | None:
    index, rng = sample_of(config.seed, k, len(data.train))
    path, sample = "data.train_split", caught("data.train_split", problems, lambda: data.train[index])
    for name, transform in transforms.items():
        if sample is None or not _is_sample(sample, path, config, data, problems):
            return None
        path = f"data.transforms.{name}"
        sample = caught(path, problems, functools.partial(transform, sample, rng))
    return sample if sample is not None and _is_sample(sample, path, config, data, problems) else None


def _is_sample(sample: Any, path: str, config: ExperimentConfig, data: Data, problems: Problems) -> bool:
    if not isinstance(sample, Sample):
        problems.add(path, f"gives {type(sample).__name__}, expected a rayseg.types.Sample; return one")
        return False
    before = len(problems.found)
    caught(path, problems, lambda: check_sample(sample, len(data.class_names), config.data.ignore_index))
    return len(problems.found) == before


def probe_model(
    model: nn.Module,
    parts: Parts,
    class_names: Sequence[str],
    size: Size,
    problems: Problems,
    *,
    images: Tensor | None = None,
) -> dict[str, int]:
    """Images forward, as in training; the number of channels of each head.

    Args:
        model: of the experiment.
        parts: what it was made from.
        class_names: C names.
        size: (height, width) px of a training image.
        problems: every fault is added here.
        images: ``(N, 3, H, W)``, as few as a batch may have; None: two of that size.
    """
    images = torch.zeros(2, 3, *size) if images is None else images
    with torch.no_grad():
        output = caught("model", problems, lambda: _forward(model, images))
    if output is None:
        return {}
    _check_heads(set(output), parts, problems)
    channels = {name: logits.shape[1] for name, logits in output.items()}
    for name, head in parts.heads.items():
        if name in channels and channels[name] != len(class_names) and head.target is None:
            message = (
                f"head {name!r} gives {channels[name]} channels for {len(class_names)} classes; use num_classes in the model"
            )
            problems.add("model", message)
    return channels


def _forward(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    model.train()
    try:
        with sample_keys(0, torch.arange(len(images))):
            return named_logits(model(images))
    except ValueError as error:
        if len(images) > 1:
            raise
        raise ShapeError(
            f"fails on a single image, and batches of one are what the config asks for ({error}); "
            "give a larger train.batch_size or train.micro_batch, or model.norm: group"
        ) from error


def _check_heads(names: set[str], parts: Parts, problems: Problems) -> None:
    for name in sorted(set(parts.heads) - names):
        message = f"the model has no such head; it has {', '.join(sorted(names))}. Remove it, or switch it on in the model"
        problems.add(f"heads.{name}", message)
    for name in sorted(names - set(parts.heads)):
        problems.add(
            f"heads.{name}",
            "is missing: the model has this head and the config does not say how it is trained; "
            f"add heads.{name}: {{}} to inherit the main head's losses at weight 0.4, or switch it off in the model",
        )


def probe_mix(
    mix: Mix,
    parts: Parts,
    num_classes: int,
    channels: Mapping[str, int],
    size: Size | None,
    problems: Problems,
    *,
    batch_size: int,
) -> None:
    """Call every class-weight rule, target, loss and sampler once.

    Args:
        mix: of the experiment.
        parts: what it was made from.
        num_classes: C of the data.
        channels: of each head's logits, where they are known.
        size: (height, width) px of a training image, if that is known.
        problems: every fault is added here.
        batch_size: images of an optimizer step.
    """
    for name, head in mix.heads.items():
        part = parts.heads[name]
        _probe_rules(part, num_classes, problems)
        masks = (torch.arange(2 * 8 * 8) % num_classes).view(2, 8, 8)
        masks[0, 0, 0] = head.ignore_index
        target = caught(f"heads.{name}.target", problems, functools.partial(_target, head, masks))
        if target is None:
            continue
        num_channels = channels.get(name, num_classes)
        logits = torch.linspace(-1, 1, 2 * num_channels * 64).view(2, num_channels, 8, 8)
        ranks = _probe_terms(name, part, head, logits, masks, problems)
        if head.sampler is not None and size is not None:
            probe_sampler(part, head, num_channels, size, problems, batch_size=batch_size, has_pixel_loss=ranks)


def _target(head: Head, masks: Tensor) -> Tensor:
    target = head_target(head, masks)
    if not isinstance(target, Tensor) or target.dtype != torch.int64 or target.ndim != 3 or len(target) != len(masks):
        got = f"{tuple(target.shape)} {target.dtype}" if isinstance(target, Tensor) else type(target).__name__
        raise TypeError(f"the target is {got}; expected (N, H, W) int64 for masks {tuple(masks.shape)}")
    return target


def _probe_rules(part: HeadParts, num_classes: int, problems: Problems) -> None:
    counts = torch.arange(1, num_classes + 1)
    for term, rule in part.rules.items():
        path = f"{part.losses_path}.{term}.class_weight"
        weights = caught(
            path, problems, functools.partial(rule.target, counts, counts.sum().expand(num_classes), **rule.kwargs)
        )
        if isinstance(weights, Tensor) and (weights.shape != (num_classes,) or not weights.isfinite().all()):
            message = f"{rule.name!r} gives {tuple(weights.shape)} {weights.tolist()}; expected {num_classes} finite numbers"
            problems.add(path, message)


def _probe_terms(name: str, part: HeadParts, head: Head, logits: Tensor, masks: Tensor, problems: Problems) -> bool:
    """Whether a term tells what each pixel adds to the loss; true also where that is unknown because of a fault."""
    own_sampling = part.sampling_path == ("sampling" if name == MAIN_HEAD else f"heads.{name}.sampling")
    unsampled: list[str] = []
    ranks = False
    for term_name, term in head.terms.items():
        path = f"{part.losses_path}.{term_name}"
        kind = _probe_term(head, term, logits, masks, path, problems)
        ranks |= kind in {"map", None}
        if kind == "sums":
            _check_options(part.terms[term_name][0], term, path, problems)
        if kind == "region" or (kind == "sums" and not _has_input(term, "pixel_weight")):
            unsampled.append(term_name)
    told = problems.has(part.sampling_path)
    if part.sampler is not None and own_sampling and not told and unsampled and set(unsampled) == set(part.terms):
        problems.add(part.sampling_path, not_sampled(unsampled))
    return ranks or problems.has(part.sampling_path)


def _probe_term(
    head: Head, term: Term, logits: Tensor, masks: Tensor, path: str, problems: Problems
) -> Literal["map", "sums", "region"] | None:
    """One loss alone, on a small batch with one ignored pixel; what kind of value it returns, None where it has a fault."""
    returned: list[Any] = []
    watched = term if isinstance(term.loss, RegionLoss) else replace(term, loss=_watched(term.loss, returned))
    alone = Mix({MAIN_HEAD: replace(head, terms={"loss": watched}, sampler=None)})
    value = caught(path, problems, lambda: alone({MAIN_HEAD: logits.clone().requires_grad_()}, masks, step=0))
    if value is None:
        return None
    if not torch.isfinite(value.total):
        message = f"gives {float(value.total)} on a small batch with one ignored pixel; expected a finite number"
        problems.add(path, message)
        return None
    if not value.total.requires_grad:
        problems.add(path, "has no gradient; compute it from the logits with torch operations, without detach")
        return None
    if not returned:
        return "region"
    return "sums" if isinstance(returned[0], tuple) or returned[0].ndim == 0 else "map"


def _watched(loss: Callable[..., Any], returned: list[Any]) -> Callable[..., Any]:
    """The loss with its own signature; what it returns is kept."""

    @functools.wraps(loss.forward if isinstance(loss, nn.Module) else loss)
    def call(*args: Any, **kwargs: Any) -> Any:
        returned.append(loss(*args, **kwargs))
        return returned[-1]

    return call


def _has_input(term: Term, name: str) -> bool:
    return not isinstance(term.loss, RegionLoss) and bool(accepted_inputs(term.loss, {name: None}))


def _check_options(written: LossTerm, term: Term, path: str, problems: Problems) -> None:
    """What the mix cannot do for a loss that returns (numerator, denominator) or a scalar."""
    if written.class_weight is not None and not _has_input(term, "class_weight"):
        problems.add(
            f"{path}.class_weight",
            f"cannot reach {written.type!r}: it does not return one value per pixel and has no argument 'class_weight'; "
            "add the argument, return (N, H, W), or remove this",
        )
    if written.normalize is not None:
        message = f"{written.type!r} does not return one value per pixel, so it is not divided by pixels; remove this"
        problems.add(f"{path}.normalize", message)
