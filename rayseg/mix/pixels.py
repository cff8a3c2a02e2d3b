"""What the terms of one head share: full-size logits, one log-softmax, and which pixels count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.mix.heads import Head, accepted_inputs

__all__ = ["Pixels", "head_target", "shared_pixels"]


@dataclass
class Pixels:
    """What the terms of one head share."""

    logits: Tensor  # (N, C, H, W)
    target: Tensor  # (N, H, W)
    valid: Tensor  # (N, H, W) bool
    kept: Tensor  # (N, H, W) pixel weights, 0 where ignored
    log_probs: Tensor  # (N, C, H, W)
    nll: Tensor  # (N, H, W), 0 where ignored

    @property
    def safe_target(self) -> Tensor:
        """``(N, H, W)`` with class 0 where ignored, so that it may index class weights."""
        return self.target.where(self.valid, torch.zeros_like(self.target))

    @property
    def num_valid(self) -> Tensor:
        """Number of labelled pixels, in the dtype of the logits."""
        return self.valid.sum().to(self.kept.dtype)

    def like(self, weight: Tensor | None) -> Tensor | None:
        """A weight in the dtype and on the device of the logits."""
        return None if weight is None else weight.to(self.logits)


def head_target(head: Head, masks: Tensor) -> Tensor:
    """Labels ``(N, H, W)`` that this head learns."""
    for void in head.voids:
        masks = masks.masked_fill(masks == void, head.ignore_index)
    return masks if head.target is None else head.target(masks, ignore_index=head.ignore_index)


def _full_size(logits: Tensor, size: Sequence[int]) -> Tensor:
    logits = logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
    if logits.shape[-2:] == torch.Size(size):
        return logits
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)


def shared_pixels(head: Head, logits: Tensor, masks: Tensor, step: int) -> Pixels:
    """Upsample, one log-softmax, and the sampler if it is active at this step (then a collective).

    Args:
        head: whose target and sampler are used.
        logits: ``(N, C, h, w)``; made float32 if they are of lower precision.
        masks: ``(N, H, W)`` int64.
        step: optimizer step; negative for validation, where every pixel counts.
    """
    target = head_target(head, masks)
    if logits.ndim != 4 or logits.shape[0] != target.shape[0]:
        raise ShapeError(
            f"logits {tuple(logits.shape)} do not fit masks {tuple(target.shape)}; expected (N, C, h, w) and (N, H, W)"
        )
    full = _full_size(logits, target.shape[-2:])
    valid = target != head.ignore_index
    log_probs = F.log_softmax(full, dim=1)
    safe = target.where(valid, torch.zeros_like(target))
    nll = -log_probs.gather(1, safe[:, None])[:, 0].masked_fill(~valid, 0.0)
    kept = valid.to(full.dtype)
    if head.sampler is not None and head.samples_at(step):
        offered = {"nll": nll.detach(), "log_probs": log_probs.detach()}
        with torch.no_grad():
            weights = head.sampler(
                full.detach(), target, ignore_index=head.ignore_index, **accepted_inputs(head.sampler, offered)
            )
        kept = kept * weights.to(full.dtype)
    return Pixels(full, target, valid, kept, log_probs, nll)
