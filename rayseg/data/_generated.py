"""What data sets have in common that are made from numbers: splits, how many pictures, of which size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rayseg.errors import DataError

__all__ = ["Frame", "frame"]

_LEAST_SIDE = 32
_NUMBERS = {"train": 0, "val": 1, "test": 2}


class Frame(NamedTuple):
    """Args: number of the split, of pictures, and ``(height, width)`` in px."""

    split: int
    length: int
    size: tuple[int, int]


def frame(name: str, split: str, length: int | None, size: tuple[int, int], default: Mapping[str, int]) -> Frame:
    """What was asked for, looked at.

    Args:
        name: of the data set, for errors.
        split: train, val or test.
        length: number of pictures; None: that of ``default`` for the split.
        size: ``(height, width)`` px.
        default: split -> number of pictures.

    Raises:
        DataError: unknown split, no images, or too small a size.
    """
    if split not in _NUMBERS:
        raise DataError(f"{name}: no split {split!r}; expected one of {', '.join(_NUMBERS)}")
    length = default[split] if length is None else length
    if length < 1:
        raise DataError(f"{name} {split}: length is {length}; expected at least 1 image")
    if len(size) != 2 or min(size) < _LEAST_SIDE:
        raise DataError(f"{name} {split}: size is {list(size)}; expected [height, width], each at least {_LEAST_SIDE} px")
    return Frame(_NUMBERS[split], length, (int(size[0]), int(size[1])))
