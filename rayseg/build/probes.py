"""Parts tried once on little data, so that what fails at the first step fails before any worker starts.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rayseg.build.class_weights import apply_rule
from rayseg.build.data import Data
from rayseg.build.parts import HeadParts, Parts
from rayseg.build.probe_samplers import probe_sampler
from rayseg.build.resolve import Problems, caught
from rayseg.build.term_probes import probe_batch, probe_terms
from rayseg.config import ExperimentConfig
from rayseg.data import LabelCounts, Transform, check_sample, sample_of
from rayseg.errors import ShapeError
from rayseg.mix import Head, Mix
from rayseg.mix.pixels import head_target
from rayseg.models import named_logits, sample_keys
from rayseg.types import Sample

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
        own_target = head.target is not None or problems.below(f"heads.{name}.target")
        if name in channels and not _fits(channels[name], len(class_names)) and not own_target:
            message = f"head {name!r} gives {channels[name]} channels for {len(class_names)} classes"
            problems.add("model", f"{message}; use num_classes in the model (one channel is for two classes)")
    return channels


def _fits(num_channels: int, num_classes: int) -> bool:
    """One channel tells two classes apart."""
    return num_channels == num_classes or (num_channels, num_classes) == (1, 2)


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
    factors = [head.weight * term.weight for head in mix.heads.values() for term in head.terms.values()]
    if factors and not any(factors):
        problems.add("losses", "every term has weight 0, so nothing would be learned; give one of them more")
    for name, head in mix.heads.items():
        part = parts.heads[name]
        _probe_rules(part, num_classes, problems)
        num_channels = channels.get(name, num_classes)
        if head.target is None and not _fits(num_channels, num_classes):
            num_channels = num_classes  # told already, and no fault of a loss
        batch = probe_batch(head, num_classes, num_channels, size)
        target = caught(f"heads.{name}.target", problems, functools.partial(_target, head, batch.masks))
        if target is None or problems.below(f"heads.{name}.target"):
            continue
        ranks = probe_terms(name, part, head, batch, problems)
        if head.sampler is not None and size is not None:
            probe_sampler(part, head, num_channels, size, problems, batch_size=batch_size, has_pixel_loss=ranks)


def _target(head: Head, masks: Tensor) -> Tensor:
    target = head_target(head, masks)
    if not isinstance(target, Tensor) or target.dtype != torch.int64 or target.ndim != 3 or len(target) != len(masks):
        got = f"{tuple(target.shape)} {target.dtype}" if isinstance(target, Tensor) else type(target).__name__
        raise TypeError(f"the target is {got}; expected (N, H, W) int64 for masks {tuple(masks.shape)}")
    return target


def _probe_rules(part: HeadParts, num_classes: int, problems: Problems) -> None:
    pixels = tuple(range(1, num_classes + 1))
    counts = LabelCounts(pixels, (sum(pixels),) * num_classes, 1, (1,) * num_classes, 0)
    for term, rule in part.rules.items():
        caught(f"{part.losses_path}.{term}.class_weight", problems, functools.partial(apply_rule, rule, counts))
