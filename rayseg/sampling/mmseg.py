"""MMSegmentation's hard example mining, quirks included.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from rayseg.errors import ConfigError, Problem
from rayseg.kernels import count, kth_largest, where_below, zero_unless_
from rayseg.sampling._hardness import PixelLoss, Scope, check_thresh, hardness, negative_log_likelihood, reducer

__all__ = ["ohem_mmseg"]


@torch.no_grad()
def ohem_mmseg(
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int,
    thresh: float | None = None,
    min_kept: int = 100_000,
    per: Literal["image", "batch"] = "image",
    nll: Tensor | None = None,
    pixel_loss: PixelLoss | None = None,
    scope: Scope = "global",
) -> Tensor:
    """Keep what MMSegmentation keeps.

    With p the probability of the true class, sorted upwards over the labelled pixels, and k = ``min_kept`` times images, a
    labelled pixel is kept if its p is strictly below ``max(p[min(k, labelled - 1)], thresh)``. So where k reaches the number of
    labelled pixels the most confident one is dropped, unless it is below ``thresh``; and pixels that tie with the one at the
    cut are dropped. Without ``thresh`` the k pixels that add most to the loss are kept, with all that tie for the last place
    (there the order of a sort decides).

    Source: ``OHEMPixelSampler`` of MMSegmentation 0.30 and 1.2 (``per="image"``), and ``OhemCrossEntropy`` of 1.2
    (``per="batch"``, with ``normalize: kept`` in the mix). They look at each worker alone: ``scope="rank"``.

    A collective with ``scope="global"``, the same sums whatever the pixels are; nothing is read back by the host.

    Args:
        logits: ``(N, C, H, W)``.
        target: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled; never kept.
        thresh: probability below which a pixel is hard; None keeps only the hardest, by ``pixel_loss``.
        min_kept: pixels, at least 1; a count that reaches the crop is allowed, as there.
        per: ``image`` multiplies ``min_kept`` by the images of the batch, ``batch`` does not.
        nll: ``(N, H, W)`` cross-entropy of each pixel, used instead of the logits when somebody has it already.
        pixel_loss: ``(N, H, W)`` what each pixel adds to the loss, or a function that returns it; without ``thresh`` only.
        scope: ``global`` takes the images of all workers together, ``rank`` each worker's own.

    Returns:
        ``(N, H, W)`` weights, 0 or 1, of the dtype of the logits, without a gradient.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> logits = torch.tensor([[[[4.0, 0.0, -1.0, -9.0]], [[0.0, 0.0, 0.0, 0.0]]]])
        >>> ohem_mmseg(logits, torch.tensor([[[0, 0, 0, 255]]]), ignore_index=255, thresh=0.3, min_kept=9)
        tensor([[[0., 1., 1., 0.]]])
    """
    check_thresh("ohem_mmseg", thresh)
    if min_kept < 1:
        raise ConfigError([Problem("min_kept", f"must be a count of pixels, at least 1, got {min_kept!r}")], "ohem_mmseg")
    valid, reduce = target != ignore_index, reducer(scope)
    images, labelled = reduce(torch.stack([valid.new_full((), len(target), dtype=torch.int64), count(valid)]))
    wanted = images * min_kept if per == "image" else torch.full_like(images, min_kept)
    nll = negative_log_likelihood(logits, target, valid, nll)
    if thresh is None:
        hard = hardness("loss", nll, pixel_loss, target, ignore_index, Problem("thresh", "null"))
        keep = hard >= kth_largest(hard.flatten(), wanted, reduce=reduce)
    else:
        probability = zero_unless_(nll.neg_().exp_(), valid)
        # The j-th smallest, from 0, of m is the (m - j)-th largest; without a label all are 0.
        least = kth_largest(probability.flatten(), labelled - wanted.minimum(labelled - 1), reduce=reduce)
        return where_below(probability, least.clamp(min=thresh), valid).to(logits.dtype)
    return (keep & valid).to(logits.dtype)
