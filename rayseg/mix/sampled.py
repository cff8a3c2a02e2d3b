"""Which pixels of a head count: its sampler, asked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from rayseg.errors import ShapeError
from rayseg.mix.heads import Head, accepted_inputs
from rayseg.mix.pixels import Pixels
from rayseg.mix.sums import pixel_loss

__all__ = ["sampled"]


def sampled(head: Head, pixels: Pixels, step: int) -> Pixels:
    """The pixels with the sampler's weights; a collective if the sampler is one.

    A sampler is offered ``nll``, ``log_probs`` and ``pixel_loss``, the last as a function, because it costs one more evaluation
    of the head's per-pixel losses.

    Args:
        head: has a sampler.
        pixels: every labelled one counts.
        step: optimizer step, for arguments that change over the run.

    Raises:
        ShapeError: the sampler's weights are not one for each pixel.
    """
    assert head.sampler is not None
    offered = {
        "nll": pixels.nll.detach(),
        "log_probs": None if pixels.log_probs is None else pixels.log_probs.detach(),
        "pixel_loss": partial(pixel_loss, head, pixels),
    }
    with torch.no_grad():
        weights = head.sampler(
            pixels.logits.detach(),
            pixels.target,
            ignore_index=head.ignore_index,
            **accepted_inputs(head.sampler, offered),
            **head.sampler_arguments(step),
        )
    if weights.shape != pixels.target.shape:
        raise ShapeError(
            f"a sampler returned weights {tuple(weights.shape)}; expected {tuple(pixels.target.shape)}, one for each pixel"
        )
    if pixels.log_probs is None:  # fused: the samplers are ours, and choose
        return replace(pixels, sampled=weights.bool())
    return replace(pixels, sampled=pixels.kept * weights.to(pixels.nll.dtype))
