"""Encoded bytes -> arrays. Masks stay indices: a palette is never expanded, grey levels are never stretched."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rayseg.data._masks import is_packed, unpacked
from rayseg.errors import DataError

__all__ = ["decode_image", "decode_mask", "encode_png"]

_IMAGE_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def decode_image(data: Any, name: str) -> NDArray[np.uint8]:
    """``(H, W, 3)`` uint8 RGB from JPEG, PNG, ... bytes; one channel becomes three equal ones.

    Raises:
        DataError: the bytes are damaged, or the pixels have more than 8 bits.
    """
    image = _open(data, name, "image")
    if image.mode not in _IMAGE_MODES:
        raise DataError(f"{name}: image has mode {image.mode}; expected 8 bits per channel: convert it to 8-bit RGB or grey")
    return np.array(image.convert("RGB"), dtype=np.uint8)


def decode_mask(data: Any, name: str) -> NDArray[np.uint8]:
    """``(H, W)`` uint8 class indices from palette or grey PNG bytes, or from a packed mask.

    Raises:
        DataError: the bytes are damaged, or the picture has colours instead of indices.
    """
    if is_packed(data):
        return unpacked(data, name)
    image = _open(data, name, "mask")
    if image.mode not in {"1", "L", "P"}:
        raise DataError(
            f"{name}: mask has mode {image.mode}; expected an 8-bit grey or palette PNG of class indices: "
            "convert colours to indices first"
        )
    indices = np.array(image, dtype=np.uint8)
    return indices // np.uint8(_grey_stretch(bytes(data[:26])))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG bytes of an image ``(H, W, 3)`` or a mask ``(H, W)``, uint8."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _grey_stretch(header: bytes) -> int:
    """The factor by which PIL stretches the grey levels of a PNG of 2 or 4 bits."""
    is_grey_png = header.startswith(_PNG_SIGNATURE) and header[25] == 0
    return {2: 85, 4: 17}.get(header[24], 1) if is_grey_png else 1


def _open(data: Any, name: str, what: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{name}: {what} of {len(data)} bytes cannot be decoded ({error}); expected a whole JPEG or PNG: "
            "fetch or export it again, or remove the sample"
        ) from error
    return image
