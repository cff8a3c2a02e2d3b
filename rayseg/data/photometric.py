"""Colours of an image in another light: MMSegmentation's PhotoMetricDistortion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rayseg.data._colour import HUES, hsv_to_rgb, rgb_to_hsv
from rayseg.data._require import require, require_range
from rayseg.types import Sample

__all__ = ["Photometric"]


@dataclass(frozen=True)
class Photometric:
    """Brightness, contrast, saturation and hue, each with probability 1/2; contrast before or after the colours.

    After each part the image is clipped to 0..255 and cut to whole numbers. Saturation and hue go through HSV in
    OpenCV's 8-bit convention.

    Args:
        brightness_delta: brightness is moved by up to so much, 0-255.
        contrast_range: factor on all channels.
        saturation_range: factor on saturation.
        hue_delta: hue is turned by ``-hue_delta .. hue_delta - 1`` half degrees.

    Example:
        >>> sample = Sample(np.full((1, 1, 3), 100, np.uint8), np.zeros((1, 1), np.uint8), "a")
        >>> Photometric()(sample, np.random.default_rng(0)).image.shape
        (1, 1, 3)
    """

    brightness_delta: float = 32
    contrast_range: tuple[float, float] = (0.5, 1.5)
    saturation_range: tuple[float, float] = (0.5, 1.5)
    hue_delta: int = 18

    def __post_init__(self) -> None:
        require_range(self.contrast_range, "photometric", "contrast_range")
        require_range(self.saturation_range, "photometric", "saturation_range")
        for name, value in (("brightness_delta", self.brightness_delta), ("hue_delta", self.hue_delta)):
            require(value >= 0, "photometric", name, f"expected 0 or more, got {value}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The same mask, an image in another light."""
        image = sample.image
        if _coin(rng):
            image = _affine(1, rng.uniform(-self.brightness_delta, self.brightness_delta))[image]
        contrast_last = _coin(rng)
        image = image if contrast_last else self._contrast(image, rng)
        image = self._hue(self._saturation(image, rng), rng)
        image = self._contrast(image, rng) if contrast_last else image
        return replace(sample, image=image)

    def _contrast(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        return _affine(rng.uniform(*self.contrast_range), 0)[image] if _coin(rng) else image

    def _saturation(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        return _through_hsv(image, 1, _affine(rng.uniform(*self.saturation_range), 0)) if _coin(rng) else image

    def _hue(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        if not _coin(rng) or self.hue_delta == 0:
            return image
        turned = (np.arange(256) + rng.integers(-self.hue_delta, self.hue_delta)) % HUES
        return _through_hsv(image, 0, turned.astype(np.uint8))


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.integers(2))


def _affine(factor: float, offset: float) -> NDArray[np.uint8]:
    """Table ``(256,)`` of ``v * factor + offset``, clipped and cut to whole numbers."""
    values = np.arange(256, dtype=np.float32) * np.float32(factor) + np.float32(offset)
    table: NDArray[np.uint8] = np.clip(values, 0, 255).astype(np.uint8)
    return table


def _through_hsv(image: NDArray[np.uint8], channel: int, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    hsv = rgb_to_hsv(image)
    hsv[..., channel] = table[hsv[..., channel]]
    return hsv_to_rgb(hsv)
