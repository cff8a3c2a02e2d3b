"""The last two steps before a batch: normalisation and padding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["normal_tables", "normalize", "pad_to"]


@lru_cache(maxsize=8)
def normal_tables(mean: tuple[float, ...], std: tuple[float, ...]) -> NDArray[np.float32]:
    """``(3, 256)``: the normalised value of each level of each channel."""
    levels = np.arange(256) - np.array(mean)[:, None]
    tables: NDArray[np.float32] = (levels / np.array(std)[:, None]).astype(np.float32)
    return tables


def normalize(image: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """``(image - mean) / std``, channels first.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        mean: of RGB, in 0-255.
        std: of RGB, in 0-255.

    Returns:
        ``(3, H, W)`` float32.

    Example:
        >>> normalize(np.full((1, 1, 3), 30, np.uint8), (10, 20, 30), (10, 10, 10)).ravel().tolist()
        [2.0, 1.0, 0.0]
    """
    tables = normal_tables(tuple(mean), tuple(std))
    return np.stack([table[image[..., channel]] for channel, table in enumerate(tables)])


def pad_to(
    image: NDArray[np.float32], mask: NDArray[np.uint8], size: tuple[int, int], ignore_index: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Pad at the right and the bottom up to ``size``; a side that is larger already stays as it is.

    Args:
        image: ``(3, H, W)`` after normalisation, so that the padding, 0, is the mean colour.
        mask: ``(H, W)``.
        size: ``(height, width)`` px.
        ignore_index: what the mask is padded with.

    Example:
        >>> image, mask = pad_to(np.ones((3, 1, 1), np.float32), np.zeros((1, 1), np.uint8), (1, 2), 255)
        >>> image[0].tolist(), mask.tolist()
        ([[1.0, 0.0]], [[0, 255]])
    """
    bottom, right = (max(want - have, 0) for have, want in zip(mask.shape, size, strict=True))
    if bottom == 0 and right == 0:
        return image, mask
    edges = ((0, bottom), (0, right))
    return np.pad(image, ((0, 0), *edges)), np.pad(mask, edges, constant_values=ignore_index)
