"""Masks that are quick to read: the labels themselves, packed by zstd, behind eight bytes that say so and two sizes."""

from __future__ import annotations

import functools
import struct
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rayseg.errors import DataError

__all__ = ["is_packed", "packed", "unpacked"]

#: Of the first version; another one gets another name.
_SIGNATURE = b"rsgmask1"
_HEAD = struct.Struct("<8sII")


@functools.cache
def _codec() -> Any:
    return pa.Codec("zstd", compression_level=9)


def is_packed(data: Any) -> bool:
    """Whether these bytes are a packed mask."""
    return bytes(data[: len(_SIGNATURE)]) == _SIGNATURE


def packed(mask: NDArray[np.uint8]) -> bytes:
    """Bytes of a mask ``(H, W)`` uint8."""
    return _HEAD.pack(_SIGNATURE, *mask.shape) + bytes(_codec().compress(np.ascontiguousarray(mask).data))


def unpacked(data: Any, name: str) -> NDArray[np.uint8]:
    """``(H, W)`` uint8, read-only.

    Raises:
        DataError: the bytes are damaged.
    """
    view = memoryview(data)
    try:
        _, height, width = _HEAD.unpack_from(view)
        labels = _codec().decompress(pa.py_buffer(view[_HEAD.size :]), decompressed_size=height * width)
        return np.frombuffer(labels, np.uint8).reshape(height, width)
    except (struct.error, pa.ArrowException, OSError, OverflowError, ValueError) as error:
        raise DataError(f"{name}: mask of {len(view)} bytes cannot be unpacked ({error}); convert the split again") from error
