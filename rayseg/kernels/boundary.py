"""Counting pixels that lie near the border of their class.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels.histogram import histogram

__all__ = ["boundary_band", "boundary_counts", "boundary_width"]

#: More than any label; what lies outside of an image is of another class than everything in it.
_OUTSIDE = 2**15 - 1


def boundary_width(height: int, width: int, ratio: float) -> int:
    """How far from the border of its class a pixel counts, px: a ratio of the diagonal, rounded, at least 1.

    Args:
        height: H px.
        width: W px.
        ratio: of the diagonal.

    Example:
        >>> boundary_width(1024, 2048, 0.005), boundary_width(64, 64, 0.02), boundary_width(8, 8, 0.02)
        (11, 2, 1)
    """
    return max(1, round(ratio * math.sqrt(height * height + width * width)))


def boundary_band(labels: Tensor, ignore_index: int, width: int) -> Tensor:
    """Labelled pixels that have one of another class, or the outside, within ``width`` rows and columns.

    For each class this is the mask less its erosion by a square of ``2 width + 1`` px, as Boundary IoU has it (Cheng et al.
    2021), for all classes in one pass over the label map: a pixel is inside if the largest and the smallest label around it
    are its own. What is not labelled is of every class: it makes no border.

    Args:
        labels: ``(N, H, W)`` int64 below 32767, or ``ignore_index``.
        ignore_index: label that means: not labelled.
        width: px.

    Returns:
        ``(N, H, W)`` bool.

    Example:
        >>> boundary_band(torch.tensor([[[0, 0, 0, 0, 0]] * 5]), 255, 1)[0].int().sum()
        tensor(16)
    """
    void = labels == ignore_index
    largest = _largest_around(labels.masked_fill(void, -1).to(torch.int16), width, _OUTSIDE)
    smallest = -_largest_around(-labels.masked_fill(void, _OUTSIDE).to(torch.int16), width, -_OUTSIDE)
    return ((largest != labels) | (smallest != labels)) & ~void


def boundary_counts(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int, ratio: float) -> Tensor:
    """What Boundary IoU is made of, for each class: pixels near the border of it in both, in the truth, in the prediction.

    The prediction is not labelled where the truth is not, so that a perfect one has the same borders.

    Args:
        prediction: ``(N, H, W)`` int64 class indices in ``[0, C)``.
        target: ``(N, H, W)`` int64 labels in ``[0, C)``, or ``ignore_index``.
        num_classes: C.
        ignore_index: label that means: not labelled.
        ratio: width of a border, of the diagonal of the image.

    Returns:
        ``(3, C)`` int64: in both, in the truth, in the prediction.

    Raises:
        ShapeError: the two do not have the same shape.

    Example:
        >>> target = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
        >>> boundary_counts(target.roll(1), target, 2, 255, 0.02)
        tensor([[2, 2],
                [3, 3],
                [3, 3]])
    """
    if prediction.shape != target.shape:
        raise ShapeError(
            f"boundary_counts: prediction is {tuple(prediction.shape)} and target {tuple(target.shape)}; they must be equal"
        )
    width = boundary_width(target.shape[-2], target.shape[-1], ratio)
    near = [
        labels.masked_fill(~boundary_band(labels, ignore_index, width), num_classes)
        for labels in (target, prediction.masked_fill(target == ignore_index, ignore_index))
    ]
    size = num_classes + 1
    pairs = histogram((near[0] * size + near[1]).flatten(), size * size).view(size, size)
    return torch.stack([pairs.diagonal(), pairs.sum(1), pairs.sum(0)])[:, :num_classes]


def _largest_around(values: Tensor, width: int, outside: int) -> Tensor:
    """Largest value ``(N, H, W)`` in a square of ``2 width + 1`` px around each pixel."""
    values = F.pad(values, (width,) * 4, value=outside)
    return _largest_of_run(_largest_of_run(values, 2 * width + 1, -1), 2 * width + 1, -2)


def _largest_of_run(values: Tensor, length: int, dim: int) -> Tensor:
    """Largest of ``length`` values in a row, from each place that has so many; by doubling, in log2(length) passes."""
    span = 1
    while 2 * span <= length:
        values = _larger(values, span, dim)
        span *= 2
    return _larger(values, length - span, dim)


def _larger(values: Tensor, shift: int, dim: int) -> Tensor:
    kept = values.shape[dim] - shift
    return torch.maximum(values.narrow(dim, 0, kept), values.narrow(dim, shift, kept))
