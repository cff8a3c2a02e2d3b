"""A fixed share of the pixels, the hardest first.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rayseg.errors import ConfigError, Problem
from rayseg.kernels import kth_largest
from rayseg.sampling._hardness import By, PixelLoss, Scope, hardness, negative_log_likelihood, reducer

__all__ = ["top_k"]


@torch.no_grad()
def top_k(
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int,
    ratio: float = 0.25,
    by: By = "nll",
    nll: Tensor | None = None,
    pixel_loss: PixelLoss | None = None,
    scope: Scope = "global",
) -> Tensor:
    """Keep the hardest share of the labelled pixels of the batch; where pixels tie for the last place, all of them are kept.

    So many as ``ratio`` times the labelled pixels, rounded to the nearest whole number, at least one.

    Source: the hard pixel mining of DeepLab's training code (``top_k_percent_pixels``), a bootstrapped cross-entropy (Wu et al.
    2016, "Bridging Category-level and Instance-level Semantic Image Segmentation"). There the share is one of all pixels,
    ignored ones included, and it falls from 1 over ``hard_example_mining_step`` steps: here a schedule of ``ratio`` does that.

    A collective with ``scope="global"``, the same sums whatever the pixels are; nothing is read back by the host.

    Args:
        logits: ``(N, C, H, W)``.
        target: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled; never kept.
        ratio: share of the labelled pixels, above 0, up to 1.
        by: ``nll`` ranks by cross-entropy, ``loss`` by ``pixel_loss``.
        nll: ``(N, H, W)`` cross-entropy of each pixel, used instead of the logits when somebody has it already.
        pixel_loss: ``(N, H, W)`` what each pixel adds to the loss, or a function that returns it.
        scope: ``global`` takes the images of all workers together, ``rank`` each worker's own.

    Returns:
        ``(N, H, W)`` weights, 0 or 1, of the dtype of the logits, without a gradient.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> logits = torch.tensor([[[[4.0, 0.0, -1.0, -9.0]], [[0.0, 0.0, 0.0, 0.0]]]])
        >>> top_k(logits, torch.tensor([[[0, 0, 0, 255]]]), ignore_index=255, ratio=0.3)
        tensor([[[0., 0., 1., 0.]]])
    """
    if not 0 < ratio <= 1:
        raise ConfigError([Problem("ratio", f"must be a share above 0, up to 1, got {ratio!r}")], "top_k")
    valid, reduce = target != ignore_index, reducer(scope)
    nll = negative_log_likelihood(logits, target, valid, nll)
    hard = hardness(by, nll, pixel_loss, target, ignore_index, Problem("by", "loss"))
    wanted = (reduce(valid.sum()).double() * ratio).round().long().clamp(min=1)
    keep = hard >= kth_largest(hard.flatten(), wanted, reduce=reduce)
    return (keep & valid).to(logits.dtype)
