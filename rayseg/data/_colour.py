"""RGB <-> HSV on uint8 in OpenCV's convention: hue in half degrees 0..179, saturation and value 0..255.

Source of the formulas: OpenCV's documentation of cvtColor (8-bit images) and its fixed-point division by tables
(12 fractional bits) on the way to HSV; the way back is in float32, rounded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rayseg.data._native import pixel_library, pointer

__all__ = ["ALL", "HUE", "HUES", "SATURATION", "Stage", "coloured", "hsv_to_rgb", "rgb_to_hsv"]

#: Number of hues: one per two degrees.
HUES = 180
#: What a stage's table is looked up for: every channel, the hue, or the saturation.
ALL, HUE, SATURATION = 0, 1, 2
#: One of them, and its table ``(256,)`` uint8.
Stage = tuple[int, NDArray[np.uint8]]
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
    library = pixel_library()
    if not stages or library is None:
        return _coloured_plainly(image, stages)
    source = np.ascontiguousarray(image)
    out = np.empty_like(source)
    kinds = np.array([kind for kind, _ in stages], np.int32)
    tables = np.stack([table for _, table in stages]).astype(np.int32)
    sizes = [ctypes.c_int64(size) for size in (source.size // 3, len(stages))]
    lack = np.ascontiguousarray(_LACK.T)
    circle = map(pointer, (tables, _SATURATION, _SECTOR, lack))
    library.rayseg_colour(pointer(source), pointer(out), sizes[0], pointer(kinds), sizes[1], *circle)
    return out


def _coloured_plainly(image: NDArray[np.uint8], stages: Sequence[Stage]) -> NDArray[np.uint8]:
    for kind, table in stages:
        if kind == ALL:
            image = table[image]
            continue
        hsv = rgb_to_hsv(image)
        hsv[..., kind - HUE] = table[hsv[..., kind - HUE]]
        image = hsv_to_rgb(hsv)
    return image
