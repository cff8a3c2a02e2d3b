"""What the compiled part draws (``csrc/draw.h``): a window of a resized picture, in other colours, into given memory."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALL", "HUE", "HUES", "PLACE_BYTES", "SATURATION", "Source", "Stage", "Window", "draw", "pointer"]

#: Number of hues: one per two degrees.
HUES = 180
#: What a stage changes: every channel, the hue, or the saturation.
ALL, HUE, SATURATION = 0, 1, 2
#: Of one place in a JPEG.
PLACE_BYTES = 12

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

    @property
    def is_resized(self) -> bool:
        """Whether the picture becomes another size."""
        return self[:2] != self[2:4]


class Stage(NamedTuple):
    """A change of colours, which is clipped to 0..255 and cut to whole numbers.

    Args:
        kind: what is changed, as ``level * factor + offset``.
        factor: of the level; a hue has none.
        offset: to the level, or to a hue: whole, in half degrees, 0..179.
    """

    kind: int
    factor: float
    offset: float


class View(ctypes.Structure):
    """``View`` of ``csrc/draw.h``."""

    _fields_ = tuple((name, ctypes.c_int64) for name in Window._fields)


class _Stage(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int32), ("factor", ctypes.c_float), ("offset", ctypes.c_float))


class _Source(ctypes.Structure):
    _fields_ = (
        ("jpeg", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        ("places", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("pixels", ctypes.c_void_p),
        ("row", ctypes.c_int64),
        ("column", ctypes.c_int64),
        ("stride", ctypes.c_int64),
    )


class _Sink(ctypes.Structure):
    _fields_ = (("to", ctypes.c_void_p), ("row", ctypes.c_int64), ("channel", ctypes.c_int64), ("pixel", ctypes.c_int64))


@dataclass(frozen=True)
class Source:
    """What a picture is drawn from.

    Args:
        bytes_of: ``_Source``, whose pointers lead into what is held.
        held: so that it stays.
    """

    bytes_of: _Source
    held: tuple[Any, ...]

    @classmethod
    def of_jpeg(cls, data: Any, places: Any | None) -> Source:
        """A JPEG; places of another file are not used."""
        held = [np.frombuffer(each, np.uint8) for each in (data, b"" if places is None else places)]
        jpeg, known = held
        return cls(_Source(address(jpeg), len(jpeg), address(known), len(known) // PLACE_BYTES, None, 0, 0, 0), tuple(held))

    @classmethod
    def of_pixels(cls, pixels: _Bytes, top: int, left: int) -> Source:
        """``(h, w, 3)`` of the picture from row ``top`` and column ``left`` on."""
        held = pixels if pixels.strides[1:] == (3, 1) else np.ascontiguousarray(pixels)
        return cls(_Source(None, 0, None, 0, address(held), top, left, held.strides[0]), (held,))


def draw(library: Any, window: Window, source: Source, stages: Sequence[Stage], out: _Bytes) -> bool:
    """Whether it could be drawn; not from a JPEG that is damaged or of another size.

    Args:
        library: with ``rayseg_draw``.
        window: what of the picture.
        source: at least what the window needs.
        stages: of colours, in order.
        out: ``(height, width, 3)`` of the window, channels one beside the other or each by itself.
    """
    row, pixel, channel = out.strides
    assert pixel == 1 or (pixel, channel) == (3, 1), out.strides
    steps = (_Stage * len(stages))(*(_Stage(*stage) for stage in stages))
    sink = _Sink(address(out), row, channel, pixel)
    count = ctypes.c_int64(len(stages))
    by = ctypes.byref
    return bool(library.rayseg_draw(by(View(*window)), by(source.bytes_of), steps, count, by(sink)))


def address(values: NDArray[Any]) -> int:
    """Where an array begins."""
    begin: int = values.__array_interface__["data"][0]
    return begin


def pointer(values: NDArray[Any]) -> ctypes.c_void_p:
    """The same, for a call."""
    return ctypes.c_void_p(address(values))
