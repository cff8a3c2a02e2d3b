"""An image and its mask before they are decoded: which size they have is known, and parts of them can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rayseg.data.dataset import Dataset
from rayseg.types import Sample

__all__ = ["Decoded", "Picture", "picture_of"]


class Picture(Protocol):
    """One image and its mask, of which only what is asked for needs to be decoded.

    A data set may have ``picture(index) -> Picture`` beside ``dataset[index]``; training asks for it where it is there.

    Example:
        >>> picture: Picture = Decoded(Sample(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8), "a"))
        >>> picture.size, picture.mask(2, 4)[2:4].shape
        ((4, 6), (2, 6))
    """

    @property
    def name(self) -> str:
        """Where it came from, for errors."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) px of both."""
        ...

    def mask(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """``(H, W)`` uint8 labels, right at least in rows ``top .. bottom - 1``."""
        ...

    def pixels(self, top: int, bottom: int, left: int, right: int) -> tuple[NDArray[np.uint8], int, int]:
        """``(h, w, 3)`` uint8 RGB with at least these rows and columns (ends excluded), and the row and column it begins at."""
        ...


@dataclass(frozen=True)
class Decoded:
    """A sample that is decoded already.

    Example:
        >>> Decoded(Sample(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8), "a")).size
        (4, 6)
    """

    sample: Sample

    @property
    def name(self) -> str:
        """That of the sample."""
        return self.sample.name

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) px."""
        height, width = self.sample.mask.shape
        return height, width

    def mask(self, top: int, bottom: int) -> NDArray[np.uint8]:  # noqa: ARG002
        """All of it."""
        return self.sample.mask

    def pixels(self, top: int, bottom: int, left: int, right: int) -> tuple[NDArray[np.uint8], int, int]:  # noqa: ARG002
        """All of them."""
        return self.sample.image, 0, 0


@runtime_checkable
class _HasPictures(Protocol):
    def picture(self, index: int) -> Picture: ...


def picture_of(dataset: Dataset, index: int) -> Picture:
    """Image and mask number ``index``: undecoded where the data set can do that.

    Example:
        >>> from rayseg.data import SyntheticStreets
        >>> picture_of(SyntheticStreets("val", length=3), 1).size
        (128, 256)
    """
    return dataset.picture(index) if isinstance(dataset, _HasPictures) else Decoded(dataset[index])
