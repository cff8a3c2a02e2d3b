"""What a training sample costs most of its time, in C++ (``csrc/pixels.cpp``); every function has a plain way beside it.

The compiled way gives the same bytes as the plain one. Where there is no compiler, or where Pillow is a build that rounds
otherwise, the plain way is taken.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, __version__

from rayseg.kernels.compiler import compiled_library

__all__ = [
    "Window",
    "chosen",
    "label_counts",
    "needed",
    "pixel_library",
    "plainly",
    "pointer",
    "resampled",
    "resampled_plainly",
]

_log = logging.getLogger(__name__)

_SOURCE = Path(__file__).parent / "csrc" / "pixels.cpp"
_INSTEAD = "images are resized whole and then cropped, which is slower; install g++"
_Bytes = NDArray[np.uint8]


class Window(NamedTuple):
    """A window of the picture of ``out`` px that one of ``in`` px becomes; mirrored left and right at the end."""

    in_height: int
    in_width: int
    out_height: int
    out_width: int
    top: int
    left: int
    height: int
    width: int
    mirrored: bool = False


class _View(ctypes.Structure):
    """``View`` of ``csrc/pixels.cpp``."""

    _fields_ = tuple((name, ctypes.c_int64) for name in Window._fields)


_switched_off: ContextVar[bool] = ContextVar("switched_off", default=False)


@contextmanager
def plainly() -> Iterator[None]:
    """Everything the plain way meanwhile."""
    token = _switched_off.set(True)
    try:
        yield
    finally:
        _switched_off.reset(token)


def pixel_library() -> Any | None:
    """The library, compiled if nobody has done so before; None where that cannot be, which is logged once."""
    return None if _switched_off.get() else _loaded()


@functools.cache
def _loaded() -> Any | None:
    library = compiled_library(_SOURCE, instead=_INSTEAD)
    if library is None:
        return None
    noise = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    for window in (Window(13, 17, 29, 40, 3, 5, 20, 30), Window(13, 17, 5, 7, 1, 0, 4, 7, mirrored=True)):
        if not np.array_equal(_compiled(library, noise, 0, 0, window), resampled_plainly(noise, window)):
            _log.warning("Pillow %s resizes to other values than Pillow does elsewhere: %s", __version__, _INSTEAD)
            return None
    return library


def needed(window: Window) -> tuple[int, int, int, int]:
    """Rows and columns of the source that a window is made of: top, bottom, left, right, the ends excluded."""
    library, found = pixel_library(), (ctypes.c_int64 * 4)()
    if library is None or window[:2] == window[2:4]:
        return _around(window)
    library.rayseg_needed(ctypes.byref(_View(*window)), found)
    return found[0], found[1], found[2], found[3]


def _around(window: Window) -> tuple[int, int, int, int]:
    """The window itself where nothing is resized, else everything."""
    if window[:2] == window[2:4]:
        return window.top, window.top + window.height, window.left, window.left + window.width
    return 0, window.in_height, 0, window.in_width


def resampled(pixels: _Bytes, top: int, left: int, window: Window) -> _Bytes:
    """The window of the resized picture.

    Args:
        pixels: ``(h, w, 3)`` of the source from row ``top`` and column ``left`` on, at least what :func:`needed` names.
        top: of ``pixels`` in the source.
        left: of ``pixels`` in the source.
        window: what is wanted.
    """
    if window[:2] == window[2:4]:
        row, column = window.top - top, window.left - left
        cut = pixels[row : row + window.height, column : column + window.width]
        return cut[:, ::-1] if window.mirrored else cut
    library = pixel_library()
    return resampled_plainly(pixels, window) if library is None else _compiled(library, pixels, top, left, window)


def resampled_plainly(pixels: _Bytes, window: Window) -> _Bytes:
    """The same of a whole picture: all of it is resized, then cut. Pillow's order of the two passes varies with its version."""
    across = Image.fromarray(pixels).resize((window.out_width, window.in_height), Image.Resampling.BILINEAR)
    whole = np.asarray(across.resize((window.out_width, window.out_height), Image.Resampling.BILINEAR))
    cut = whole[window.top : window.top + window.height, window.left : window.left + window.width]
    return cut[:, ::-1] if window.mirrored else cut


def _compiled(library: Any, pixels: _Bytes, top: int, left: int, window: Window) -> _Bytes:
    source = pixels if pixels.strides[1:] == (3, 1) else np.ascontiguousarray(pixels)
    out = np.empty((window.height, window.width, 3), np.uint8)
    place, strides = (top, left), (source.strides[0], out.strides[0])
    library.rayseg_resample(
        ctypes.byref(_View(*window)),
        pointer(source),
        *map(ctypes.c_int64, (*place, strides[0])),
        pointer(out),
        ctypes.c_int64(strides[1]),
    )
    return out


def label_counts(mask: _Bytes) -> NDArray[np.int64]:
    """``(256,)``: how often each label occurs in ``(H, W)``."""
    library = pixel_library()
    mask = mask[:, ::-1] if mask.strides[-1] == -1 else mask
    if library is None or mask.strides[-1] != 1:
        return np.bincount(mask.ravel(), minlength=256)
    counts = np.empty(256, np.int64)
    sizes = (mask.strides[0], *mask.shape)
    library.rayseg_label_counts(pointer(mask), *map(ctypes.c_int64, sizes), pointer(counts))
    return counts


def chosen(mask: _Bytes, rows: NDArray[np.int32], columns: NDArray[np.int32]) -> _Bytes:
    """``mask[rows][:, columns]``."""
    library = pixel_library()
    if library is None or mask.strides[-1] != 1:
        return mask.take(rows, 0).take(columns, 1)
    out = np.empty((len(rows), len(columns)), np.uint8)
    sizes = map(ctypes.c_int64, (*out.shape, out.strides[0]))
    library.rayseg_chosen(pointer(mask), ctypes.c_int64(mask.strides[0]), pointer(rows), pointer(columns), *sizes, pointer(out))
    return out


def pointer(values: NDArray[Any]) -> ctypes.c_void_p:
    """Where an array begins."""
    return ctypes.c_void_p(values.ctypes.data)
