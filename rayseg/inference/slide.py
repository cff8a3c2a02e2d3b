"""An image in overlapping windows: MMSegmentation's ``slide`` inference.

Windows lie on a grid of strides; the last of a row or a column is moved back to end with the image. Where windows overlap their
logits are averaged, every window with the same weight, before anything nonlinear.

Letters: N images, K channels of the logits, H x W pixels of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.inference.whole import resized

__all__ = ["slide_logits", "window_starts"]


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along one side of an image; together they cover it.

    Args:
        length: px of the side.
        window: px of a window; one as long as the side is enough where this is more.
        stride: px between windows, at most ``window``.

    Raises:
        ShapeError: the stride would leave pixels out, or is not positive.

    Example:
        >>> window_starts(100, 64, 42), window_starts(106, 64, 42), window_starts(50, 64, 42)
        ([0, 36], [0, 42], [0])
    """
    if not 1 <= stride <= window:
        raise ShapeError(f"a stride of {stride} px for windows of {window} px; expected 1 to {window}, or pixels are left out")
    count = max(length - window + stride - 1, 0) // stride + 1
    return [max(min(index * stride + window, length) - window, 0) for index in range(count)]


def slide_logits(
    predict: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    crop_size: tuple[int, int],
    stride: tuple[int, int],
    batch_size: int = 8,
) -> Tensor:
    """Average of the logits of windows, at the size of the image (MMSegmentation's ``slide_inference``).

    The logits of a window are brought to its size first. An image that is smaller than a window is one window, or one row or
    column of them; nothing is padded.

    Args:
        predict: ``(M, 3, h, w)`` windows to logits ``(M, K, any, any)``.
        images: ``(N, 3, H, W)``.
        crop_size: height and width of a window, px.
        stride: down and across, px; at most ``crop_size``.
        batch_size: most windows in one call of ``predict``; it bounds memory and changes nothing else.

    Returns:
        ``(N, K, H, W)``, float32 or more.

    Raises:
        ShapeError: the stride would leave pixels out.

    Example:
        >>> images = torch.rand(1, 3, 5, 7)
        >>> torch.equal(slide_logits(lambda crops: crops, images, crop_size=(4, 4), stride=(1, 3)), images)
        True
    """
    (height, width), places = images.shape[-2:], _places(images, crop_size, stride)
    h, w = min(crop_size[0], height), min(crop_size[1], width)
    total: Tensor | None = None
    counts = images.new_zeros(height, width)
    for first in range(0, len(places), batch_size):
        chunk = places[first : first + batch_size]
        crops = torch.stack([images[n, :, y : y + h, x : x + w] for n, y, x in chunk])
        logits = resized(predict(crops), (h, w))
        if total is None:
            dtype = torch.promote_types(logits.dtype, torch.float32)
            total = logits.new_zeros(len(images), logits.shape[1], height, width, dtype=dtype)
        for (n, y, x), window in zip(chunk, logits, strict=True):
            total[n, :, y : y + h, x : x + w] += window
            counts[y : y + h, x : x + w] += n == 0
    if total is None:
        raise ShapeError(f"images are {tuple(images.shape)}; expected (N, 3, H, W) with at least one image")
    return total.div_(counts)


def _places(images: Tensor, crop_size: tuple[int, int], stride: tuple[int, int]) -> list[tuple[int, int, int]]:
    """Image, top and left of every window, row by row, one image after the other."""
    grid = [window_starts(side, *pair) for side, *pair in zip(images.shape[-2:], crop_size, stride, strict=True)]
    return [(n, y, x) for n, y, x in product(range(len(images)), *grid)]
