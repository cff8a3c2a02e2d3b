"""What a training sample will look like, said before anything is decoded: how large, which window, mirrored, in which light.

All of that is chosen first; the mask is looked up in the window alone, which is what a crop's rule asks for; the image is
decoded and resized where the window lies, row by row, straight into the memory that it is wanted in. What comes out is the same
to the bit as if everything were decoded, resized, cut, mirrored and coloured, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rayseg.data._colour import coloured
from rayseg.data._drawing import Source, Stage, Window, draw
from rayseg.data._native import draw_labels, needed, pixel_library, resampled_plainly
from rayseg.data.picture import Decoded, Encoded, Picture
from rayseg.types import Sample

__all__ = ["View"]


@dataclass(frozen=True)
class View:
    """A window of a resized picture, mirrored or not, in another light or not.

    Args:
        picture: what is looked at.
        scaled: (height, width) px of the whole picture after resizing.
        corner: (top, left) of the window in it.
        size: (height, width) px of the window.
        mirrored: left and right change places, after all else.
        labels: the window's mask, not mirrored, once it is known.
        light: changes of its colours, in order, after all else.

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
    light: tuple[Stage, ...] = ()

    @classmethod
    def of(cls, picture: Picture) -> View:
        """All of a picture, as it is."""
        return cls(picture, picture.size, (0, 0), picture.size)

    @property
    def name(self) -> str:
        """That of the picture."""
        return self.picture.name

    def resized(self, size: tuple[int, int]) -> View:
        """The window resized to (height, width) px: bilinear with antialiasing when shrinking; labels by the nearest pixel."""
        if size == self.size:
            return self
        if self.size != self.picture.size or self.scaled != self.picture.size or self.mirrored or self.light:
            return View.of(Decoded(self.sample())).resized(size)
        return View(self.picture, size, (0, 0), size)

    def cropped(self, top: int, left: int, height: int, width: int) -> View:
        """A window of the window, cut at its edges."""
        height, width = min(height, self.size[0] - top), min(width, self.size[1] - left)
        column = self.size[1] - left - width if self.mirrored else left
        labels = None if self.labels is None else self.labels[top : top + height, column : column + width]
        corner = (self.corner[0] + top, self.corner[1] + column)
        return View(self.picture, self.scaled, corner, (height, width), self.mirrored, labels, self.light)

    def flipped(self) -> View:
        """Left and right change places."""
        return View(self.picture, self.scaled, self.corner, self.size, not self.mirrored, self.labels, self.light)

    def coloured(self, stages: Sequence[Stage]) -> View:
        """Its colours are changed too, after those that are changed already."""
        light = (*self.light, *stages)
        return View(self.picture, self.scaled, self.corner, self.size, self.mirrored, self.labels, light)

    def with_mask(self) -> View:
        """The same, its mask known."""
        if self.labels is not None:
            return self
        return View(self.picture, self.scaled, self.corner, self.size, self.mirrored, self._labels(), self.light)

    def mask(self) -> NDArray[np.uint8]:
        """``(height, width)`` labels of the window."""
        labels = self._labels() if self.labels is None else self.labels
        return labels[:, ::-1] if self.mirrored else labels

    def image(self) -> NDArray[np.uint8]:
        """``(height, width, 3)`` uint8 RGB of the window."""
        image = np.empty((*self.size, 3), np.uint8)
        self.draw_image(image)
        return image

    def sample(self) -> Sample:
        """Image and mask of the window."""
        mask = self.mask()
        return Sample(self.image(), mask, self.picture.name)

    def draw_mask(self, out: NDArray[np.uint8]) -> None:
        """The mask into ``(height, width)``, which may be part of an array."""
        if self.labels is None:
            window = self._window(self.mirrored)
            draw_labels(window, self.picture.mask(*_rows(window)), out)
        else:
            draw_labels(Window(*self.size, *self.size, 0, 0, *self.size, self.mirrored), self.labels, out)

    def draw_image(self, out: NDArray[np.uint8], *, in_light: bool = True) -> None:
        """The image into ``(height, width, 3)``, whose channels lie one beside the other or each by itself.

        Args:
            out: may be part of an array.
            in_light: with its colours changed.
        """
        library, window, light = pixel_library(), self._window(self.mirrored), self.light if in_light else ()
        if library is None:
            pixels, top, left = self.picture.pixels(*needed(window))
            out[...] = coloured(_plainly(pixels, top, left, window), light)
        elif not (isinstance(self.picture, Encoded) and draw(library, window, self.picture.source(), light, out)):
            drawn = draw(library, window, Source.of_pixels(*self.picture.pixels(*needed(window))), light, out)
            assert drawn

    def _labels(self) -> NDArray[np.uint8]:
        window, labels = self._window(mirrored=False), np.empty(self.size, np.uint8)
        draw_labels(window, self.picture.mask(*_rows(window)), labels)
        return labels

    def _window(self, mirrored: bool) -> Window:
        return Window(*self.picture.size, *self.scaled, *self.corner, *self.size, mirrored)


def _rows(window: Window) -> tuple[int, int]:
    """Rows of the source that a window's labels lie in, and one or two more; the end excluded."""
    step = window.in_height / window.out_height
    return max(int(window.top * step) - 1, 0), min(int((window.top + window.height) * step) + 1, window.in_height)


def _plainly(pixels: NDArray[np.uint8], top: int, left: int, window: Window) -> NDArray[np.uint8]:
    if window.is_resized:
        return resampled_plainly(pixels, window)
    row, column = window.top - top, window.left - left
    cut = pixels[row : row + window.height, column : column + window.width]
    return cut[:, ::-1] if window.mirrored else cut
