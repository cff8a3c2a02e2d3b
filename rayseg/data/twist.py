"""Changes of colours and normalisation as one affine map of each image, made where the batch is.

Letters: N images, H x W pixels. Source: brightness, contrast, saturation and hue as in DALI's ColorTwist, the last two in YIQ
(NTSC's), which keeps luma where HSV keeps the largest channel. Nothing is clipped or cut to whole numbers between them; what
comes out is clipped.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rayseg.data._drawing import ALL, HUE, Stage, pointer
from rayseg.data._memory import Memory
from rayseg.data._native import pixel_library

__all__ = ["affine_of", "normal_maps", "twisted"]

_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_RGB = np.linalg.inv(_YIQ)


def affine_of(stages: Sequence[Stage]) -> NDArray[np.float32]:
    """``(3, 4)``: the map that stages of colours are in YIQ; a column for each of R, G, B in 0-255, and one to add.

    Example:
        >>> affine_of([Stage(ALL, 2.0, 0.0), Stage(ALL, 1.0, 5.0)]).tolist()
        [[2.0, 0.0, 0.0, 5.0], [0.0, 2.0, 0.0, 5.0], [0.0, 0.0, 2.0, 5.0]]
        >>> grey = affine_of([Stage(HUE, 1.0, 40.0)])[:, :3].sum(1)
        >>> bool(np.allclose(grey, 1))  # what has no hue keeps its colour
        True
    """
    found = np.eye(3, 4)
    for stage in stages:
        found = _matrix(stage) @ found
        found[:, 3] += stage.offset if stage.kind == ALL else 0.0
    return found.astype(np.float32)


def _matrix(stage: Stage) -> NDArray[np.float64]:
    if stage.kind == ALL:
        return np.eye(3) * stage.factor
    angle = -math.radians(2 * stage.offset) if stage.kind == HUE else 0.0  # hues go the other way round in YIQ
    factor = 1.0 if stage.kind == HUE else stage.factor
    cos, sin = factor * math.cos(angle), factor * math.sin(angle)
    turned: NDArray[np.float64] = _RGB @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _YIQ
    return turned


def normal_maps(twists: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """``(N, 3, 6)``: maps ``(N, 3, 4)`` with the normalisation after them, and the least and the most of each channel.

    Example:
        >>> brighter = torch.from_numpy(affine_of([Stage(ALL, 1.0, 5.0)]))[None]
        >>> normal_maps(brighter, (50, 50, 50), (10, 10, 10))[0, 0].tolist()
        [0.10000000149011612, 0.0, 0.0, -4.5, -5.0, 20.5]
    """
    centre, scale = (torch.tensor(tuple(each), dtype=torch.float32) for each in (mean, std))
    bounds = torch.stack([-centre / scale, (255 - centre) / scale], -1).expand(len(twists), 3, 2)
    maps = torch.cat([twists / scale[:, None], bounds], -1)
    maps[..., 3] -= centre / scale
    return maps


def twisted(pixels: Tensor, sizes: Tensor, maps: Tensor, memory: Memory | None = None) -> Tensor:
    """Normalised images ``(N, 3, H, W)`` float32 in other colours, 0 where they are padding, on the device of the pixels.

    Args:
        pixels: ``(N, 3, H, W)`` uint8 RGB.
        sizes: ``(N, 2)`` height and width px of each image without padding.
        maps: ``(N, 3, 6)`` float32, of :func:`normal_maps`.
        memory: of what is made on a CPU; None: new.

    Example:
        >>> grey, size = torch.full((1, 3, 1, 2), 100, dtype=torch.uint8), torch.tensor([[1, 1]])
        >>> brighter = torch.from_numpy(affine_of([Stage(ALL, 1.0, 5.0)]))[None]
        >>> twisted(grey, size, normal_maps(brighter, (89, 89, 89), (16, 16, 16)))[0, 0].tolist()
        [[1.0, 0.0]]
    """
    library = None if pixels.is_cuda else pixel_library()
    if library is None:
        return _twisted_plainly(pixels, sizes, maps)
    out = (memory or Memory()).empty(pixels.shape, torch.float32)
    n, _, height, width = pixels.shape
    shape = map(ctypes.c_int64, (n, height, width))
    library.rayseg_twist(pointer(pixels.numpy()), *shape, *(pointer(each.numpy()) for each in (sizes, maps, out)))
    return out


def _twisted_plainly(pixels: Tensor, sizes: Tensor, maps: Tensor) -> Tensor:
    levels = pixels.float()
    found = maps[:, :, 3, None, None].expand(levels.shape)
    for channel in range(3):
        found = torch.addcmul(found, maps[:, :, channel, None, None], levels[:, channel, None])
    found = found.clamp(maps[:, :, 4, None, None], maps[:, :, 5, None, None])
    rows, columns = (torch.arange(side, device=pixels.device) for side in pixels.shape[2:])
    inside = (rows[:, None] < sizes[:, 0, None, None]) & (columns < sizes[:, 1, None, None])
    return found * inside[:, None]
