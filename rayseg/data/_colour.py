"""RGB <-> HSV on uint8 in OpenCV's convention: hue in half degrees 0..179, saturation and value 0..255.

Source of the formulas: OpenCV's documentation of cvtColor (8-bit images) and its fixed-point division by tables
(12 fractional bits) on the way to HSV; the way back is in float32, rounded. This is the plain way; ``csrc/colour.h`` gives the
same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rayseg.data._drawing import ALL, HUE, HUES, Stage

__all__ = ["coloured", "hsv_to_rgb", "rgb_to_hsv"]

_SHIFT = 12
_HALF = 1 << (_SHIFT - 1)

_DIVISOR = np.maximum(np.arange(256), 1)
_SATURATION = np.rint((255 << _SHIFT) / _DIVISOR).astype(np.int32)
_SECTOR = np.rint((HUES << _SHIFT) / (6.0 * _DIVISOR)).astype(np.int32)


def _chroma_share() -> NDArray[np.float32]:
    """``(180, 3)``: how much of the chroma each of R, G, B lacks at each hue."""
    place = (np.arange(HUES)[:, None] / 30 + np.array([5, 3, 1])) % 6
    lack: NDArray[np.float32] = np.clip(np.minimum(place, 4 - place), 0, 1).astype(np.float32)
    return lack


_LACK = _chroma_share()


def rgb_to_hsv(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(H, W, 3)`` uint8 RGB -> HSV."""
    red, green, blue = (image[..., channel].astype(np.int32) for channel in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    saturation = (chroma * _SATURATION[value] + _HALF) >> _SHIFT
    sixths = np.where(value == red, green - blue, np.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma))
    hue = (sixths * _SECTOR[chroma] + _HALF) >> _SHIFT
    hue += np.where(hue < 0, HUES, 0)
    return np.stack([hue, saturation, value], axis=-1).astype(np.uint8)


def hsv_to_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(H, W, 3)`` uint8 HSV -> RGB."""
    value = image[..., 2].astype(np.float32)
    chroma = value * image[..., 1] * np.float32(1 / 255)
    return np.rint(value[..., None] - chroma[..., None] * _LACK[image[..., 0]]).astype(np.uint8)


def coloured(image: NDArray[np.uint8], stages: Sequence[Stage]) -> NDArray[np.uint8]:
    """``(H, W, 3)`` uint8 RGB after the stages, in order; HSV is rounded to 8 bits on the way there and back."""
    for stage in stages:
        table = _table(stage)
        if stage.kind == ALL:
            image = table[image]
            continue
        hsv = rgb_to_hsv(image)
        hsv[..., stage.kind - HUE] = table[hsv[..., stage.kind - HUE]]
        image = hsv_to_rgb(hsv)
    return image


def _table(stage: Stage) -> NDArray[np.uint8]:
    """``(256,)``: what each level becomes."""
    if stage.kind == HUE:
        turned: NDArray[np.uint8] = ((np.arange(256) + int(stage.offset)) % HUES).astype(np.uint8)
        return turned
    levels = np.arange(256, dtype=np.float32) * np.float32(stage.factor) + np.float32(stage.offset)
    table: NDArray[np.uint8] = np.clip(levels, 0, 255).astype(np.uint8)
    return table
