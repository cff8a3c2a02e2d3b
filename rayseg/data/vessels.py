"""Synthetic eye grounds: thin vessels that branch, a pure function of (seed, split, index), numpy only, nothing to download.

Two classes: background, and vessel, about a tenth of the labelled pixels. What lies outside the disc is void. They stand in for
retinal sets such as DRIVE, which may not be passed on: a recipe can be tried on them, not judged.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from rayseg.data._generated import frame
from rayseg.data._noise import textures
from rayseg.data._tree import Disc, grow_tree, paint_tree
from rayseg.data.dataset import Palette
from rayseg.types import Sample

__all__ = ["SyntheticVessels"]

_VERSION = 1
_LENGTHS = {"train": 200, "val": 40, "test": 40}
_VESSEL = 1
#: Per channel: how much of a vessel's darkness and of the bright spot it has, and the strength of its grain.
_CHANNELS = ((0.35, 1.0, 5), (1.0, 0.9, 6), (0.5, 0.6, 7))


class SyntheticVessels:
    """Procedural eye grounds.

    Args:
        split: train, val or test: different eyes, from the same rules.
        length: number of images; None: 200 for train, 40 for val and test.
        size: ``(height, width)`` px, each at least 32.
        seed: another number is another data set.
        void: whether what lies outside the disc is not labelled; otherwise it is background.
        ignore_index: label of the void pixels.

    Raises:
        DataError: unknown split, no images, or too small a size.

    Example:
        >>> eyes = SyntheticVessels("val", size=(64, 80))
        >>> len(eyes), eyes.class_names, eyes[0].image.shape
        (40, ('background', 'vessel'), (64, 80, 3))
    """

    class_names = ("background", "vessel")

    def __init__(
        self,
        split: str,
        *,
        length: int | None = None,
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
        void: bool = True,
        ignore_index: int = 255,
    ) -> None:
        self._split, self._length, self._size = frame("synthetic_vessels", split, length, size, _LENGTHS)
        self._seed, self._void, self._ignore_index = seed, void, ignore_index
        self._prefix = f"synthetic_vessels/{split}"

    @property
    def palette(self) -> Palette:
        """Black, and the white in which such sets draw their vessels."""
        return ((0, 0, 0), (255, 255, 255))

    def __len__(self) -> int:
        """Number of images."""
        return self._length

    def __getitem__(self, index: int) -> Sample:
        """Eye number ``index``."""
        if not 0 <= index < self._length:
            raise IndexError(f"{self._prefix}: no image {index}; there are {self._length}")
        rng = np.random.default_rng([self._seed, self._split, index, 7])
        disc = Disc(*self._size)
        spot = disc.beside_the_centre(rng)
        darkness = paint_tree(grow_tree(rng, disc, spot), disc)
        image = _render(rng, disc, spot, darkness, textures(self._seed, *self._size))
        mask = np.where(disc.inside & (darkness > 0), _VESSEL, 0).astype(np.uint8)
        if self._void:
            mask[~disc.inside] = self._ignore_index
        return Sample(image, mask, f"{self._prefix}/{index}")

    def digest(self) -> str:
        """Digest of everything that the eyes depend on."""
        parts = (_VERSION, self._split, self._length, self._size, self._seed, self._void, self._ignore_index)
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _render(
    rng: np.random.Generator,
    disc: Disc,
    spot: tuple[float, float],
    darkness: NDArray[np.int16],
    noise: tuple[NDArray[np.int16], NDArray[np.int16]],
) -> NDArray[np.uint8]:
    """``(H, W, 3)``: ground that is darker at the rim, the bright spot, lesions, vessels, grain; black outside the disc."""
    top, left = rng.integers(0, disc.height), rng.integers(0, disc.width)
    fine, coarse = (layer[top : top + disc.height, left : left + disc.width] for layer in noise)
    ground = (coarse * int(rng.integers(10, 40)) >> 7) - (disc.squared_distance * rng.uniform(20, 60)).astype(np.int16)
    ground = ground + _lesions(rng, disc)
    bright = 70 * np.exp(-disc.squared_distance_to(*spot) / (2 * (8 * disc.scale) ** 2))
    colour = (np.array([190, 105, 55]) + rng.normal(0, 14, 3)) * rng.uniform(0.65, 1.1)
    image = np.empty((*fine.shape, 3), np.int16)
    for channel, (of_vessel, of_bright, grain) in enumerate(_CHANNELS):
        drawn = of_bright * bright - darkness * of_vessel * rng.uniform(0.7, 1.1)
        image[..., channel] = (colour[channel] + ground + drawn).astype(np.int16) + (fine * grain >> 6)
    return np.where(disc.inside[..., None], image, 0).clip(0, 255).astype(np.uint8)


def _lesions(rng: np.random.Generator, disc: Disc) -> NDArray[np.int16]:
    """Up to six bright or dark blots, of no class: what is round is no vessel."""
    blots = np.zeros((disc.height, disc.width), np.int16)
    for _ in range(int(rng.integers(0, 7))):
        y, x, radius = rng.uniform(0, disc.height), rng.uniform(0, disc.width), rng.uniform(1, 4) * disc.scale
        blots[disc.squared_distance_to(y, x) < radius**2] = int(rng.integers(-45, 60))
    return blots
