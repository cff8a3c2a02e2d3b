"""Synthetic streets: a data set that is a pure function of (seed, split, index), numpy only, nothing to download.

Nine classes, from sky (a fifth of the pixels) to sign (one in 400), so that recipes for rare classes have something to find.
Share of the labelled pixels in percent, about: sky 21, building 17, road 19, sidewalk 15, vegetation 24, car 2.0, pole 0.6,
person 0.8, sign 0.2. Void is a line between surfaces, the bonnet of the camera's own car, and a few boxes.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np
from numpy.typing import NDArray

from rayseg.data._canvas import Canvas, Draws
from rayseg.data._generated import frame
from rayseg.data._noise import textures
from rayseg.data._street import StreetClass, draw_street, paint_street
from rayseg.data.dataset import Palette
from rayseg.types import Sample

__all__ = ["SyntheticStreets"]

_VERSION = 1
#: Pixels of an image that is remembered.
_SMALL = 2**15
_LENGTHS = {"train": 1000, "val": 200, "test": 200}
_PALETTE: Palette = (
    (70, 130, 180),
    (70, 70, 70),
    (128, 64, 128),
    (244, 35, 232),
    (107, 142, 35),
    (0, 0, 142),
    (153, 153, 153),
    (220, 20, 60),
    (220, 220, 0),
)


class SyntheticStreets:
    """Procedural street scenes.

    Args:
        split: train, val or test: different scenes, from the same rules.
        length: number of images; None: 1000 for train, 200 for val and test.
        size: ``(height, width)`` px, each at least 32.
        seed: another number is another data set.
        void: whether some pixels are not labelled.
        noise: strength of the textures.
        ignore_index: label of the void pixels.

    Raises:
        DataError: unknown split, no images, or too small a size.

    Example:
        >>> streets = SyntheticStreets("val", size=(64, 96))
        >>> len(streets), streets.class_names[5], streets[0].image.shape
        (200, 'car', (64, 96, 3))
    """

    def __init__(
        self,
        split: str,
        *,
        length: int | None = None,
        size: tuple[int, int] = (128, 256),
        seed: int = 0,
        void: bool = True,
        noise: float = 1.0,
        ignore_index: int = 255,
    ) -> None:
        self._split, self._length, self._size = frame("synthetic", split, length, size, _LENGTHS)
        self._seed, self._void, self._noise, self._ignore_index = seed, void, noise, ignore_index
        self._prefix = f"synthetic/{split}"

    @property
    def class_names(self) -> tuple[str, ...]:
        """sky, building, road, sidewalk, vegetation, car, pole, person, sign."""
        return tuple(label.name.lower() for label in StreetClass)

    @property
    def palette(self) -> Palette:
        """The colours that Cityscapes gives these classes."""
        return _PALETTE

    def __len__(self) -> int:
        """Number of images."""
        return self._length

    def __getitem__(self, index: int) -> Sample:
        """Scene number ``index``."""
        if not 0 <= index < self._length:
            raise IndexError(f"{self._prefix}: no image {index}; there are {self._length}")
        kept = self._size[0] * self._size[1] <= _SMALL
        image, mask = (_scene if kept else _scene.__wrapped__)(
            self._seed, self._split, index, *self._size, self._void, self._noise, self._ignore_index
        )
        return Sample(image.copy(), mask.copy(), f"{self._prefix}/{index}")

    def digest(self) -> str:
        """Digest of everything that the scenes depend on."""
        parts = (_VERSION, self._split, self._length, self._size, self._seed, self._void, self._noise, self._ignore_index)
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@functools.lru_cache(maxsize=64)
def _scene(
    seed: int, split: int, index: int, height: int, width: int, void: bool, noise: float, ignore_index: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image and mask of a scene. The last ones are remembered: to draw one takes longer than all that is done to it."""
    draws = Draws(np.random.default_rng([seed, split, index]))
    street = draw_street(draws, height, width)
    canvas = paint_street(draws, street)
    mask = np.asarray(canvas.labels, np.uint8)[canvas.regions]
    image = _render(canvas, draws, street.horizon, seed, noise)
    return _with_void(image, mask, draws, ignore_index) if void else (image, mask)


def _render(canvas: Canvas, draws: Draws, horizon: int, seed: int, noise: float) -> NDArray[np.uint8]:
    """``(H, W, 3)``: colours of the regions under one light, textures, a shadow, the grain of the sensor."""
    height, width = canvas.regions.shape
    fine, coarse = textures(seed, height, width)
    top, left = draws.whole(0, height), draws.whole(0, width)
    window = (slice(top, top + height), slice(left, left + width))
    grains = np.asarray(canvas.grains, np.int16)
    texture = (fine[window] * grains[:, 0][canvas.regions] + coarse[window] * grains[:, 1][canvas.regions]) >> 7
    if noise != 1:
        texture = (texture * noise).astype(np.int16)
    if draws.chance(0.5):
        texture = texture - np.int16(28) * _shadow(draws, height, width, horizon)
    image = _lit_colours(canvas, draws)[canvas.regions] + texture[..., None]
    grain = fine[height - top : 2 * height - top, width - left : 2 * width - left] >> (4 if draws.chance(0.6) else 3)
    image[..., 0] += grain
    image[..., 2] -= grain
    return np.clip(image, 0, 255).astype(np.uint8)


def _lit_colours(canvas: Canvas, draws: Draws) -> NDArray[np.int16]:
    """``(regions, 3)``: colours under a light of random strength and tint."""
    light = np.array([draws.real(0.88, 1.12), draws.real(0.88, 1.12), draws.real(0.88, 1.12)]) * draws.real(0.55, 1.15)
    return (np.asarray(canvas.colours) * light).clip(0, 255).astype(np.int16)


def _shadow(draws: Draws, height: int, width: int, horizon: int) -> NDArray[np.bool_]:
    """A slanted band on the ground."""
    rows, columns = np.arange(height, dtype=np.int32)[:, None], np.arange(width, dtype=np.int32)
    start, breadth = draws.whole(-width / 2, width), draws.whole(20, 90)
    return ((columns - start - (rows >> 1)) & 1023 < breadth) & (rows > horizon)


def _with_void(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], draws: Draws, ignore_index: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image and mask with lines between surfaces, a dark bonnet and a few boxes that are not labelled."""
    height, width = mask.shape
    labelled, surface = mask.copy(), mask < StreetClass.CAR
    labelled[:, 1:][(mask[:, 1:] != mask[:, :-1]) & surface[:, 1:] & surface[:, :-1]] = ignore_index
    labelled[1:][(mask[1:] != mask[:-1]) & surface[1:] & surface[:-1]] = ignore_index
    bonnet = height - draws.whole(0, 0.09 * height)
    labelled[bonnet:] = ignore_index
    image[bonnet:] >>= 2
    scale = height / 128
    for _ in range(draws.whole(0, 3)):
        y, x = draws.whole(0, height), draws.whole(0, width)
        labelled[y : y + draws.whole(3, 14 * scale), x : x + draws.whole(3, 20 * scale)] = ignore_index
    return image, labelled
