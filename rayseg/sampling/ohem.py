"""Online hard example mining (OHEM).

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rayseg.errors import ConfigError, Problem, ShapeError
from rayseg.kernels import kth_largest
from rayseg.sampling._hardness import (
    By,
    PixelLoss,
    Scope,
    check_thresh,
    hardness,
    negative_log_likelihood,
    reducer,
)

__all__ = ["ohem"]


def _fraction(min_kept: float) -> float:
    if 0 <= min_kept <= 1:
        return min_kept
    message = f"a fraction of the crop must be from 0 to 1, got {min_kept!r}; a count of pixels is written without a dot"
    raise ConfigError([Problem("min_kept", message)], "ohem")


def _pixels_per_image(min_kept: float, height: int, width: int) -> int:
    """``min_kept`` as a count of pixels of an image."""
    if not isinstance(min_kept, int):
        return math.ceil(_fraction(min_kept) * height * width)
    if min_kept < 0:
        raise ConfigError([Problem("min_kept", f"must not be negative, got {min_kept!r}")], "ohem")
    if min_kept >= height * width:
        raise ShapeError(
            f"ohem: min_kept is {min_kept} pixels per image, but the crop has {height} x {width} = {height * width}, so every "
            "pixel would be kept; give a smaller count, or a fraction of the crop such as 0.1"
        )
    return min_kept


def _check_something_is_kept(thresh: float | None, per_image: int) -> None:
    if thresh is None and per_image == 0:
        raise ConfigError([Problem("min_kept", "without thresh nothing would be kept; give a count or a fraction")], "ohem")


@torch.no_grad()
def ohem(
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int,
    thresh: float | None = 0.7,
    min_kept: float = 0.1,
    by: By = "nll",
    nll: Tensor | None = None,
    pixel_loss: PixelLoss | None = None,
    scope: Scope = "global",
) -> Tensor:
    """Keep the pixels that the model finds hard, and at least so many of them.

    A labelled pixel is kept if the probability of its true class is below ``thresh``, or if it is among the ``min_kept`` times
    images hardest of the batch; where pixels tie for the last place, all of them are kept. With fewer labelled pixels than
    that, all are kept. The hardest are those of the largest cross-entropy, or with ``by="loss"`` those that add most to the
    loss: class weights and all per-pixel terms then decide too. ``thresh`` speaks of the probability in both cases.

    Source: Shrivastava et al. 2016, "Training Region-based Object Detectors with Online Hard Example Mining", in the form of
    MMSegmentation's ``OHEMPixelSampler``, with three differences: the batch is the global one, the same for any number of
    workers; the most confident pixel is not dropped when all must be kept; ties do not make it keep fewer. ``thresh=None`` with
    ``by="loss"`` is its form without a threshold. :func:`rayseg.sampling.ohem_mmseg` has all of its quirks.

    A collective with ``scope="global"``: every worker calls it, with or without images, and it makes the same sums whatever the
    pixels are. Nothing is read back by the host.

    Args:
        logits: ``(N, C, H, W)``.
        target: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled; never kept.
        thresh: probability below which a pixel is hard; None keeps only the hardest.
        min_kept: per image: pixels as an int, or a fraction of H * W as a float; 0 keeps only what is below ``thresh``, 1.0
            everything.
        by: ``nll`` ranks by cross-entropy, ``loss`` by ``pixel_loss``.
        nll: ``(N, H, W)`` cross-entropy of each pixel, used instead of the logits when somebody has it already.
        pixel_loss: ``(N, H, W)`` what each pixel adds to the loss, or a function that returns it.
        scope: ``global`` takes the images of all workers together, ``rank`` each worker's own.

    Returns:
        ``(N, H, W)`` weights, 0 or 1, of the dtype of the logits, without a gradient.

    Raises:
        ShapeError: ``min_kept`` is a count that the crop does not exceed.
        ConfigError: an argument has no meaning.

    Example:
        >>> logits = torch.tensor([[[[4.0, 0.0, -1.0, -9.0]], [[0.0, 0.0, 0.0, 0.0]]]])
        >>> ohem(logits, torch.tensor([[[0, 0, 0, 255]]]), ignore_index=255, min_kept=1)
        tensor([[[0., 1., 1., 0.]]])
    """
    height, width = target.shape[1:]
    per_image = _pixels_per_image(min_kept, height, width)
    check_thresh("ohem", thresh)
    _check_something_is_kept(thresh, per_image)
    valid = target != ignore_index
    nll = negative_log_likelihood(logits, target, valid, nll)
    keep = torch.zeros_like(valid) if thresh is None else nll > -math.log(thresh)
    if per_image:
        hard, reduce = hardness(by, nll, pixel_loss, target, ignore_index, Problem("by", "loss")), reducer(scope)
        images = reduce(torch.full((), len(target), dtype=torch.int64, device=target.device))
        keep |= hard >= kth_largest(hard.flatten(), images * per_image, reduce=reduce)
    return (keep & valid).to(logits.dtype)
