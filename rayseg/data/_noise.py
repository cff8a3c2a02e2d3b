"""Noise that generated pictures take windows of."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["textures"]


@lru_cache(maxsize=4)
def textures(seed: int, height: int, width: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Fine and coarse noise, ``(2H, 2W)`` each in -128..127, of which every picture takes a window of ``(H, W)``."""
    rng = np.random.default_rng([seed, 99])
    shape = (2 * height, 2 * width)
    fine = rng.integers(-128, 128, shape, dtype=np.int16)
    return fine, ((_blocks(rng, shape, 4) + _blocks(rng, shape, 12)) >> 1).astype(np.int16)


def _blocks(rng: np.random.Generator, shape: tuple[int, int], side: int) -> NDArray[np.int16]:
    """Noise in blocks of ``side`` px, softened at their edges."""
    cells = rng.integers(-128, 128, (shape[0] // side + 2, shape[1] // side + 2), dtype=np.int16)
    sharp = cells.repeat(side, 0).repeat(side, 1)[: shape[0], : shape[1]]
    down = sharp + np.roll(sharp, side // 2, 0)
    return (down + np.roll(down, side // 2, 1)) >> 2
