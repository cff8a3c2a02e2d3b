"""Parts of a JPEG, in C++ (``csrc/jpeg.h``): the same values as Pillow's of the whole, without decoding the rest.

The codes of a JPEG can be read from its beginning only. *Places* are where reading can go on, 12 bytes for every 8 units of a
row of units (about a fiftieth of the file): with them, what lies before and beside a region is jumped over.
"""

from __future__ import annotations

import ctypes
import functools
import io
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, __version__

from rayseg.data._drawing import PLACE_BYTES, Source, Window, draw, pointer
from rayseg.data._native import pixel_library

__all__ = ["jpeg_places", "jpeg_region", "jpeg_size"]

_log = logging.getLogger(__name__)

_Bytes = NDArray[np.uint8]


def _buffer(data: Any) -> _Bytes:
    return np.frombuffer(data, np.uint8)


def _header(library: Any, data: _Bytes) -> tuple[int, int, int] | None:
    """Height, width and number of places; None for a file that is not read here, or that Pillow refuses for its size."""
    found = np.zeros(3, np.int64)
    if not library.rayseg_jpeg_header(pointer(data), ctypes.c_int64(len(data)), pointer(found)):
        return None
    height, width, places = found.tolist()
    most = Image.MAX_IMAGE_PIXELS
    return None if most is not None and height * width > 2 * most else (height, width, places)


def _library() -> Any | None:
    """The library, where Pillow decodes as the reference decoder does."""
    library = pixel_library()
    return library if library is not None and _is_reference(library) else None


@functools.cache
def _is_reference(library: Any) -> bool:
    noise = np.random.default_rng(0).integers(0, 256, (21, 37, 3), dtype=np.uint8)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        file = io.BytesIO()
        Image.fromarray(noise).save(file, "JPEG", quality=60, subsampling=subsampling)
        theirs = np.asarray(Image.open(file))
        ours = _region(library, file.getvalue(), None, (3, 18, 5, 30))
        if ours is None or not np.array_equal(ours, theirs[3:18, 5:30]):
            _log.warning("Pillow %s decodes JPEGs to other values than elsewhere: they are decoded whole, by it", __version__)
            return False
    return True


def jpeg_size(data: Any) -> tuple[int, int] | None:
    """(height, width) px of a JPEG that can be decoded in parts; None: it cannot.

    Args:
        data: what has a buffer.
    """
    library = _library()
    found = None if library is None else _header(library, _buffer(data))
    return None if found is None else found[:2]


def jpeg_places(data: Any) -> bytes | None:
    """Where reading can go on in a JPEG; None for one that cannot be decoded in parts, or that is damaged."""
    library, view = _library(), _buffer(data)
    found = None if library is None else _header(library, view)
    if library is None or found is None:
        return None
    places = np.zeros(found[2] * PLACE_BYTES, np.uint8)
    ok = library.rayseg_jpeg_places(pointer(view), ctypes.c_int64(len(view)), pointer(places))
    return places.tobytes() if ok else None


def jpeg_region(data: Any, places: Any | None, region: tuple[int, int, int, int]) -> _Bytes | None:
    """``(bottom - top, right - left, 3)`` uint8 RGB of rows and columns of a JPEG; None: it is damaged.

    Args:
        data: what has a buffer, of a JPEG that :func:`jpeg_size` knows.
        places: those of this file; None: it is read from its beginning.
        region: top, bottom, left, right, the ends excluded.
    """
    library = _library()
    assert library is not None
    return _region(library, data, places, region)


def _region(library: Any, data: Any, places: Any | None, region: tuple[int, int, int, int]) -> _Bytes | None:
    top, bottom, left, right = region
    found = _header(library, _buffer(data))
    if found is None or bottom > found[0] or right > found[1]:
        return None
    out = np.empty((bottom - top, right - left, 3), np.uint8)
    window = Window(*found[:2], *found[:2], top, left, bottom - top, right - left)
    return out if draw(library, window, Source.of_jpeg(data, places), (), out) else None
