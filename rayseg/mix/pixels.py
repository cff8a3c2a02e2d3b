"""What the terms of one head share: full-size logits, one log-softmax, and which pixels count.

A head that is fused has no full-size logits: its terms share statistics of them (``rayseg.kernels.statistics``), and its
``logits`` are NaN in the right shape, so that a loss that looks at them is found out. If its only loss is cross-entropy, of
pixels that no sampler chooses, its ``nll`` is NaN too where a gradient is wanted: there is only the sum
(``rayseg.kernels.summed``).

Letters: N images, C classes, H x W pixels, K channels of the logits: C, or 1 for two classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels import (
    ClassSums,
    SummedCrossEntropy,
    SumsCrossEntropy,
    count,
    log_probabilities,
    pixel_statistics,
    summed_cross_entropy,
)
from rayseg.mix.fusing import smoothing_alone
from rayseg.mix.heads import Fused, Head

__all__ = ["Pixels", "head_target", "shared_pixels", "weights_of_all"]


@dataclass
class Pixels:
    """What the terms of one head share."""

    logits: Tensor  # (N, K, H, W)
    target: Tensor  # (N, H, W)
    log_probs: Tensor | None  # (N, C, H, W); None where the head is fused
    nll: Tensor  # (N, H, W), 0 where ignored
    ignore_index: int
    masks: Tensor  # (N, H, W), before anything is ignored
    images: Tensor | None = None  # (N, 3, H, W) of this batch
    alone: bool = False  # validation: no loss may wait for other workers
    mean_nll: Tensor | None = None  # (N, H, W), 0 where ignored; where the head is fused and wants it
    class_sums: ClassSums | None = None  # (N, C) each; the same
    summed: SummedCrossEntropy | None = None  # all that the head's only term is made of
    sampled: Tensor | None = None  # (N, H, W) weights of the sampler, 0 where ignored; bool where fused; None: all labelled

    @cached_property
    def valid(self) -> Tensor:
        """``(N, H, W)`` bool: what is labelled."""
        return self.target != self.ignore_index

    @cached_property
    def kept(self) -> Tensor:
        """``(N, H, W)`` pixel weights, 0 where ignored."""
        return (self.valid if self.sampled is None else self.sampled).to(self.nll.dtype)

    @property
    def weight_of_values(self) -> Tensor | None:
        """What values of losses are multiplied by; None where that changes nothing: a fused head's are 0 where ignored."""
        return self.sampled if self.log_probs is None else self.kept

    @cached_property
    def safe_target(self) -> Tensor:
        """``(N, H, W)`` with class 0 where ignored, so that it may index class weights."""
        return self.target.where(self.valid, torch.zeros_like(self.target))

    @cached_property
    def num_valid(self) -> Tensor:
        """Number of labelled pixels, in the dtype of the logits."""
        return count(self.valid).to(self.nll.dtype)

    @property
    def num_kept(self) -> Tensor:
        """Sum of the pixel weights."""
        if self.sampled is None:
            return self.num_valid
        return (count if self.sampled.dtype == torch.bool else torch.sum)(self.sampled).to(self.nll.dtype)

    @property
    def open_logits(self) -> Tensor:
        """Logits ``(N, K, H, W)`` that are 0 and without gradient where ignored, for losses that do not ask what is ignored."""
        return self.logits.masked_fill(~self.valid[:, None], 0).contiguous()

    def soft_target(self, make: Callable[..., Tensor]) -> Tensor:
        """Target ``(N, K, H, W)`` that ``make`` makes of the labels, 0 where ignored; one channel is that of class 1."""
        assert self.log_probs is not None, "a fused head has no soft targets"
        num_classes = self.log_probs.shape[1]
        soft = make(self.target, ignore_index=self.ignore_index, num_classes=num_classes)
        if soft.shape != self.log_probs.shape or not soft.is_floating_point():
            raise ShapeError(
                f"the target of a loss is {tuple(soft.shape)} {soft.dtype}; expected floating point "
                f"{tuple(self.log_probs.shape)}: (N, C, H, W) for {num_classes} classes. Labels of its own belong to a head"
            )
        soft = soft[:, 1:] if self.logits.shape[1] == 1 else soft
        return soft.to(self.logits.dtype).masked_fill(~self.valid[:, None], 0).contiguous()

    def like(self, weight: Tensor | None) -> Tensor | None:
        """A weight in the dtype and on the device of the logits."""
        return None if weight is None else weight.to(self.logits)


def head_target(head: Head, masks: Tensor) -> Tensor:
    """Labels ``(N, H, W)`` that this head learns."""
    for void in head.voids:
        masks = masks.masked_fill(masks == void, head.ignore_index)
    return masks if head.target is None else head.target(masks, ignore_index=head.ignore_index)


def weights_of_all(weight: Tensor, head: Head, masks: Tensor) -> Tensor:
    """Sum of the class weights ``(C,)`` over all pixels whose label ``(N, H, W)`` is a class, whether it is ignored or not."""
    labels = masks if head.target is None else head_target(head, masks)
    is_class = (labels >= 0) & (labels < len(weight))
    return (weight[labels.where(is_class, 0)] * is_class).sum()


def _full_size(logits: Tensor, size: Sequence[int]) -> Tensor:
    logits = logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
    if logits.shape[-2:] == torch.Size(size):
        return logits
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)


def shared_pixels(
    head: Head, logits: Tensor, masks: Tensor, images: Tensor | None = None, *, alone: bool = False, choosing: bool = False
) -> Pixels:
    """Upsample, and one log-softmax; every labelled pixel counts.

    Args:
        head: whose target is used.
        logits: ``(N, K, h, w)``; made float32 if they are of lower precision.
        masks: ``(N, H, W)`` int64.
        images: ``(N, 3, H, W)``, for losses that ask for them.
        alone: whether no loss may wait for other workers.
        choosing: whether a sampler will choose among them by their losses.
    """
    target = head_target(head, masks)
    if logits.ndim != 4 or logits.shape[0] != target.shape[0]:
        raise ShapeError(
            f"logits {tuple(logits.shape)} do not fit masks {tuple(target.shape)}; expected (N, C, h, w) and (N, H, W)"
        )
    if head.fused is not None and head.fused.takes(logits):
        summed = None if choosing else _summed(head, head.fused, logits, target)
        shared = _fused_pixels(head, head.fused, logits, target, masks, summed)
        return replace(shared, images=images, alone=alone)
    full = _full_size(logits, target.shape[-2:])
    log_probs = log_probabilities(full)
    valid = target != head.ignore_index
    safe = target.where(valid, torch.zeros_like(target))
    nll = -log_probs.gather(1, safe[:, None])[:, 0].masked_fill(~valid, 0.0)
    return Pixels(full, target, log_probs, nll, head.ignore_index, masks, images, alone=alone)


def _summed(head: Head, fused: Fused, logits: Tensor, target: Tensor) -> SummedCrossEntropy | None:
    """The sum of the head's only loss, with the gradient made at once; None where that cannot be, or none is wanted."""
    smoothing, backend = smoothing_alone(head), fused.backend
    if smoothing is None or not isinstance(backend, SumsCrossEntropy) or not (torch.is_grad_enabled() and logits.requires_grad):
        return None
    weight = next(iter(head.terms.values())).class_weight
    return summed_cross_entropy(
        logits, target, ignore_index=head.ignore_index, backend=backend, class_weight=weight, label_smoothing=smoothing
    )


def _fused_pixels(
    head: Head, fused: Fused, logits: Tensor, target: Tensor, masks: Tensor, summed: SummedCrossEntropy | None
) -> Pixels:
    """The statistics of the logits ``(N, K, h, w)`` instead of logits at full size, unless there is the sum already."""
    void = head.ignore_index
    nan = torch.full((), torch.nan, dtype=torch.float32, device=logits.device)
    nowhere = nan.expand(*logits.shape[:2], *target.shape[1:])
    if summed is not None:
        return Pixels(nowhere, target, None, nan.expand(target.shape), void, masks, summed=summed)
    found = pixel_statistics(logits, target, ignore_index=void, wanted=fused.wanted, backend=fused.backend)
    return Pixels(nowhere, target, None, found.nll, void, masks, mean_nll=found.mean_nll, class_sums=found.sums)
