"""Samplers tried once on an image of the size of training, at both ends of what changes over the run.

Letters: N images, C channels, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rayseg.build.parts import HeadParts
from rayseg.build.resolve import Problems, arguments_of, caught
from rayseg.kernels import log_probabilities
from rayseg.mix import Head, accepted_inputs
from rayseg.sampling import SAMPLERS

__all__ = ["probe_sampler"]

#: Arguments that are a share of the pixels: the whole of them switches a sampler off.
_SHARES = ("min_kept", "ratio")


def probe_sampler(
    part: HeadParts,
    head: Head,
    num_channels: int,
    size: tuple[int, int],
    problems: Problems,
    *,
    batch_size: int,
    has_pixel_loss: bool,
) -> None:
    """One image of the size of training, because a sampler may count in pixels.

    Args:
        part: what the user wrote.
        head: has a sampler.
        num_channels: of its logits.
        size: (height, width) px of a training image.
        problems: every fault is added here.
        batch_size: images of an optimizer step.
        has_pixel_loss: whether a term tells what each pixel adds to the loss.
    """
    assert part.sampler is not None
    assert part.sampling is not None
    schedule, path = part.sampling.schedule, part.sampling_path
    ends = {"from": {k: v.first for k, v in schedule.items()}, "to": {k: v.to for k, v in schedule.items()}}
    for end, changing in ends.items() if schedule else [("", {})]:
        found = Problems()
        arguments = {**arguments_of(part.sampler.target, 2), **part.sampler.kwargs, **changing}
        if part.sampler.target in SAMPLERS.values():
            _check_shares(arguments, path, size, batch_size, found, changing)
        if not found.found:
            trial = partial(_weights, head, num_channels, size, changing, has_pixel_loss=has_pixel_loss)
            weights = caught(path, found, trial)
            if not found.found:
                _check_weights(weights, path, size, found)
        for problem in found.found:
            name = problem.path.removeprefix(f"{path}.")
            problems.add(f"{path}.schedule.{name}.{end}" if name in changing else problem.path, problem.message)


def _check_shares(
    arguments: Mapping[str, Any],
    path: str,
    size: tuple[int, int],
    batch_size: int,
    problems: Problems,
    changing: Mapping[str, float],
) -> None:
    """What keeps every pixel does nothing; a schedule may begin or end there, with a share."""
    height, width = size
    images = batch_size if arguments.get("per") == "batch" else 1
    kept = arguments.get("min_kept", 0)
    if isinstance(kept, int) and kept >= images * height * width:
        crop = f"{height}x{width} = {height * width} pixels of a crop"
        of, remedy = (f"the {crop}", ", or a fraction such as 0.1") if images == 1 else (f"{images} x {crop}", "")
        problems.add(f"{path}.min_kept", f"{kept} of {of} would keep every pixel; give fewer{remedy}")
    for name in _SHARES:
        if name not in changing and isinstance(arguments.get(name), float) and arguments[name] == 1:
            problems.add(f"{path}.{name}", "1.0 keeps every pixel; give less, or remove the sampler")


def _weights(
    head: Head, num_channels: int, size: tuple[int, int], changing: Mapping[str, float], *, has_pixel_loss: bool
) -> Tensor:
    assert head.sampler is not None
    masks = (torch.arange(size[0] * size[1]) % max(2, num_channels)).view(1, *size)
    logits = torch.zeros(1, num_channels, *size)
    zeros = torch.zeros(masks.shape)
    offered = {"nll": zeros, "log_probs": log_probabilities(logits), "pixel_loss": (lambda: zeros) if has_pixel_loss else None}
    inputs = accepted_inputs(head.sampler, offered)
    weights: Tensor = head.sampler(logits, masks, ignore_index=head.ignore_index, **inputs, **changing)
    return weights


def _check_weights(weights: Any, path: str, size: tuple[int, int], problems: Problems) -> None:
    if not isinstance(weights, Tensor):
        problems.add(path, f"gives {type(weights).__name__}; expected a tensor (N, H, W), one weight per pixel")
    elif weights.shape != (1, *size):
        message = f"gives weights {tuple(weights.shape)} for masks {(1, *size)}; expected (N, H, W), one per pixel"
        problems.add(path, message)
    elif not (weights >= 0).all():
        problems.add(path, f"gives weights down to {float(weights.min())}; expected numbers, 0 or more")
