"""An image and its mask before they are decoded: which size they have is known, and parts of them can be asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rayseg.data._decode import decode_image
from rayseg.data._drawing import Source
from rayseg.data._jpeg import jpeg_region, jpeg_size
from rayseg.data._shortcuts import shortcut
from rayseg.data.dataset import Dataset
from rayseg.types import Sample

__all__ = ["Decoded", "Encoded", "Picture", "encoded_picture", "picture_of"]


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

    Args:
        sample: image and mask.
        checked: image and mask are known to fit, and every label to be one.

    Example:
        >>> Decoded(Sample(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8), "a")).size
        (4, 6)
    """

    sample: Sample
    checked: bool = False

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


@dataclass(frozen=True)
class Encoded:
    """A JPEG whose parts can be decoded, and its mask; made by :func:`encoded_picture`.

    Args:
        data: of the JPEG; what has a buffer.
        places: where reading can go on in it; None: at its beginning.
        size: (height, width) px.
        labels: ``(height, width)`` uint8.
        name: where it came from.
    """

    data: Any
    places: Any | None
    size: tuple[int, int]
    labels: NDArray[np.uint8]
    name: str

    def source(self) -> Source:
        """What it is drawn from, without pixels in between."""
        return Source.of_jpeg(self.data, self.places)

    def mask(self, top: int, bottom: int) -> NDArray[np.uint8]:  # noqa: ARG002
        """All of it."""
        return self.labels

    def pixels(self, top: int, bottom: int, left: int, right: int) -> tuple[NDArray[np.uint8], int, int]:
        """These alone; a damaged file is decoded whole, which says what is wrong with it."""
        found = jpeg_region(self.data, self.places, (top, bottom, left, right))
        return (decode_image(self.data, self.name), 0, 0) if found is None else (found, top, left)


def encoded_picture(image: Any, mask: NDArray[np.uint8], name: str, places: Any | None = None) -> Picture:
    """An image from its bytes with a mask: parts of it where it is a JPEG of the common kind, else all of it, decoded now.

    Args:
        image: JPEG, PNG, ... ; what has a buffer.
        mask: ``(H, W)`` uint8.
        name: where it came from.
        places: of this JPEG, as a conversion keeps them.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (32, 16)).save(file, "JPEG")
        >>> encoded_picture(file.getvalue(), np.zeros((16, 32), np.uint8), "a").size
        (16, 32)
    """
    size = jpeg_size(image)
    if size is None or size != mask.shape:
        return Decoded(Sample(decode_image(image, name), mask, name))
    return Encoded(image, places, size, mask, name)


def picture_of(dataset: Dataset, index: int) -> Picture:
    """Image and mask number ``index``: undecoded where the data set can do that.

    Example:
        >>> from rayseg.data import SyntheticStreets
        >>> picture_of(SyntheticStreets("val", length=3), 1).size
        (128, 256)
    """
    undecoded: Callable[[int], Picture] | None = shortcut(dataset, "picture", instead_of="__getitem__")
    return Decoded(dataset[index]) if undecoded is None else undecoded(index)
