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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, __version__

from rayseg.data._drawing import Source, View, Window, draw, pointer
from rayseg.kernels.compiler import compiled_library

__all__ = ["are_labels", "draw_labels", "label_counts", "needed", "pixel_library", "plainly", "resampled_plainly"]

_log = logging.getLogger(__name__)

_SOURCE = Path(__file__).parent / "csrc" / "pixels.cpp"
_INSTEAD = "images are resized whole and then cropped, which is slower; install g++"
_Bytes = NDArray[np.uint8]


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
        out = np.empty((window.height, window.width, 3), np.uint8)
        draw(library, window, Source.of_pixels(noise, 0, 0), (), out)
        if not np.array_equal(out, resampled_plainly(noise, window)):
            _log.warning("Pillow %s resizes to other values than Pillow does elsewhere: %s", __version__, _INSTEAD)
            return None
    return library


def needed(window: Window) -> tuple[int, int, int, int]:
    """Rows and columns of the source that a window is made of: top, bottom, left, right, the ends excluded."""
    if not window.is_resized:
        return window.top, window.top + window.height, window.left, window.left + window.width
    library, found = pixel_library(), (ctypes.c_int64 * 4)()
    if library is None:
        return 0, window.in_height, 0, window.in_width
    library.rayseg_needed(ctypes.byref(View(*window)), found)
    return found[0], found[1], found[2], found[3]


def resampled_plainly(pixels: _Bytes, window: Window) -> _Bytes:
    """A window of a whole picture: all of it is resized, then cut. Pillow's order of the two passes varies with its version."""
    across = Image.fromarray(pixels).resize((window.out_width, window.in_height), Image.Resampling.BILINEAR)
    whole = np.asarray(across.resize((window.out_width, window.out_height), Image.Resampling.BILINEAR))
    cut = whole[window.top : window.top + window.height, window.left : window.left + window.width]
    return cut[:, ::-1] if window.mirrored else cut


def label_counts(mask: _Bytes) -> NDArray[np.int64]:
    """``(256,)``: how often each label occurs in ``(H, W)``."""
    library = pixel_library()
    if library is None or mask.strides[-1] != 1:
        return np.bincount(mask.ravel(), minlength=256)
    counts = np.empty(256, np.int64)
    library.rayseg_label_counts(*_rows_of(mask), pointer(counts))
    return counts


def are_labels(mask: _Bytes, num_classes: int, ignore_index: int) -> bool:
    """Whether every label of ``(H, W)`` is ``0 .. num_classes - 1`` or void, which need not be one that a mask can have."""
    library = pixel_library()
    if library is None or mask.strides[-1] != 1 or not 0 < num_classes <= 256:
        return bool(((mask < num_classes) | (mask == ignore_index)).all())
    also = ignore_index if 0 <= ignore_index < 256 else 0
    return bool(library.rayseg_are_labels(*_rows_of(mask), ctypes.c_uint8(num_classes - 1), ctypes.c_uint8(also)))


def _rows_of(mask: _Bytes) -> tuple[Any, ...]:
    return (pointer(mask), *map(ctypes.c_int64, (mask.strides[0], *mask.shape)))


def draw_labels(window: Window, mask: _Bytes, out: _Bytes) -> None:
    """The window of a mask into ``(height, width)``, by the nearest pixel.

    Args:
        window: what of the picture.
        mask: all of it, right at least where the window lies.
        out: may be part of an array.
    """
    library = pixel_library()
    if library is None:
        out[...] = _labels_plainly(window, mask)
        return
    source = mask if mask.strides[-1] == 1 else np.ascontiguousarray(mask)
    from_stride, to_stride = (ctypes.c_int64(each.strides[0]) for each in (source, out))
    library.rayseg_draw_labels(ctypes.byref(View(*window)), pointer(source), from_stride, pointer(out), to_stride)


def _labels_plainly(window: Window, mask: _Bytes) -> _Bytes:
    rows = _nearest(window.in_height, window.out_height)[window.top : window.top + window.height]
    columns = _nearest(window.in_width, window.out_width)[window.left : window.left + window.width]
    return mask.take(rows, 0).take(columns[::-1] if window.mirrored else columns, 1)


def _nearest(source: int, out: int) -> NDArray[np.int32]:
    """``(out,)``: the pixel of a side of ``source`` px that each of ``out`` is taken from. Pillow's: it adds up its steps."""
    steps = np.full(out, source / out)
    steps[0] *= 0.5
    return np.minimum(np.cumsum(steps).astype(np.int32), source - 1)
