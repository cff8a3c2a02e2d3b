"""What a training sample will look like, said before anything is decoded: how large, which window of it, mirrored or not.

Scale, window and mirroring are drawn first; the mask is looked up in the window alone, which is what a crop's rule asks for;
the image is decoded and resized where the window lies. What comes out is the same to the bit as if everything were resized and
then cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rayseg.data._native import Window, chosen, needed, resampled
from rayseg.data.picture import Decoded, Picture
from rayseg.types import Sample

__all__ = ["View"]


@dataclass(frozen=True)
class View:
    """A window of a resized picture, mirrored or not.

    Args:
        picture: what is looked at.
        scaled: (height, width) px of the whole picture after resizing.
        corner: (top, left) of the window in it.
        size: (height, width) px of the window.
        mirrored: left and right change places, after all else.
        labels: the window's mask, once it is known.

    Example:
        >>> mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
        >>> view = View.of(Decoded(Sample(np.zeros((3, 4, 3), np.uint8), mask, "a"))).resized((6, 8)).cropped(2, 2, 2, 4)
        >>> view.flipped().mask().tolist()
        [[6, 6, 5, 5], [6, 6, 5, 5]]
    """

    picture: Picture
    scaled: tuple[int, int]
    corner: tuple[int, int]
    size: tuple[int, int]
    mirrored: bool = False
    labels: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, picture: Picture) -> View:
        """All of a picture, as it is."""
        return cls(picture, picture.size, (0, 0), picture.size)

    def resized(self, size: tuple[int, int]) -> View:
        """The window resized to (height, width) px: bilinear with antialiasing when shrinking; labels by the nearest pixel."""
        if size == self.size:
            return self
        if self.size != self.picture.size or self.scaled != self.picture.size or self.mirrored:
            return View.of(Decoded(self.sample())).resized(size)
        return replace(self, scaled=size, size=size, labels=None)

    def cropped(self, top: int, left: int, height: int, width: int) -> View:
        """A window of the window, cut at its edges."""
        height, width = min(height, self.size[0] - top), min(width, self.size[1] - left)
        column = self.size[1] - left - width if self.mirrored else left
        labels = None if self.labels is None else self.labels[top : top + height, left : left + width]
        corner = (self.corner[0] + top, self.corner[1] + column)
        return replace(self, corner=corner, size=(height, width), labels=labels)

    def flipped(self) -> View:
        """Left and right change places."""
        labels = None if self.labels is None else self.labels[:, ::-1]
        return replace(self, mirrored=not self.mirrored, labels=labels)

    def with_mask(self) -> View:
        """The same, its mask known."""
        return replace(self, labels=self.mask())

    def mask(self) -> NDArray[np.uint8]:
        """``(height, width)`` labels of the window."""
        if self.labels is not None:
            return self.labels
        rows, columns = (
            _nearest(source, out)[start : start + length]
            for source, out, start, length in zip(self.picture.size, self.scaled, self.corner, self.size, strict=True)
        )
        whole = self.picture.mask(int(rows[0]), int(rows[-1]) + 1)
        if self.scaled == self.picture.size:
            cut = whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            return cut[:, ::-1] if self.mirrored else cut
        return chosen(whole, rows, np.ascontiguousarray(columns[::-1]) if self.mirrored else columns)

    def sample(self) -> Sample:
        """Image and mask of the window."""
        window = Window(*self.picture.size, *self.scaled, *self.corner, *self.size, self.mirrored)
        mask = self.mask()
        pixels, top, left = self.picture.pixels(*needed(window))
        return Sample(resampled(pixels, top, left, window), mask, self.picture.name)


@lru_cache(maxsize=8)
def _nearest(source: int, out: int) -> NDArray[np.int32]:
    """``(out,)``: the pixel of a side of ``source`` px that each of ``out`` is taken from. Pillow's: it adds up its steps."""
    steps = np.full(out, source / out)
    steps[0] *= 0.5
    return np.minimum(np.cumsum(steps).astype(np.int32), source - 1)
