"""Joint transforms of image and mask on uint8: ``(sample, rng) -> sample``.

All randomness comes from the generator that is passed in, so a transform is a pure function of the sample stream.
Source of the rules: MMSegmentation's RandomResize, RandomCrop, RandomFlip, PhotoMetricDistortion, Normalize and Pad. Resizing
is PIL's (bilinear with antialiasing when shrinking; nearest for masks).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rayseg.data._colour import HUES, hsv_to_rgb, rgb_to_hsv
from rayseg.errors import ConfigError, Problem
from rayseg.types import Sample

__all__ = [
    "TRANSFORMS",
    "Photometric",
    "RandomCrop",
    "RandomFlip",
    "RandomResize",
    "Transform",
    "normalize",
    "pad_to",
]

#: ``(sample, rng) -> sample``, a pure function of both.
Transform = Callable[[Sample, np.random.Generator], Sample]

_REDRAWS = 10


def _require(condition: bool, where: str, name: str, message: str) -> None:
    if not condition:
        raise ConfigError([Problem(name, message)], where=where)


def _require_range(bounds: tuple[float, float], where: str, name: str) -> None:
    fits = len(bounds) == 2 and 0 < bounds[0] <= bounds[1]
    _require(fits, where, name, f"expected 0 < low <= high, got {list(bounds)}")


def _require_size(size: tuple[int, int], where: str, name: str) -> None:
    fits = len(size) == 2 and min(size) >= 1
    _require(fits, where, name, f"expected [height, width] in px, both at least 1, got {list(size)}")


@dataclass(frozen=True)
class RandomResize:
    """Resize by a random ratio.

    A ratio r is drawn from ``ratio_range``; the target is ``int(side * r)`` of ``scale``. With ``keep_ratio`` the image becomes
    as large as fits into the target, long side to long side and short to short.

    Args:
        scale: ``(height, width)`` px; None: the image's own size.
        ratio_range: low and high bound of r.
        keep_ratio: keep the ratio of height to width.

    Example:
        >>> sample = Sample(np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8), "a")
        >>> RandomResize(scale=(20, 30), ratio_range=(1, 1))(sample, np.random.default_rng(0)).mask.shape
        (20, 30)
    """

    scale: tuple[int, int] | None = None
    ratio_range: tuple[float, float] = (0.5, 2.0)
    keep_ratio: bool = True

    def __post_init__(self) -> None:
        _require_range(self.ratio_range, "random_resize", "ratio_range")
        if self.scale is not None:
            _require_size(self.scale, "random_resize", "scale")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Resized image (bilinear) and mask (nearest)."""
        low, high = self.ratio_range
        ratio = rng.random() * (high - low) + low
        own = sample.mask.shape
        scale = self.scale or own
        size = (int(scale[0] * ratio), int(scale[1] * ratio))
        if self.keep_ratio:
            factor = min(max(size) / max(own), min(size) / min(own))
            size = (int(own[0] * factor + 0.5), int(own[1] * factor + 0.5))
        return _resized(sample, max(size[0], 1), max(size[1], 1))


def _resized(sample: Sample, height: int, width: int) -> Sample:
    if sample.mask.shape == (height, width):
        return sample
    image = Image.fromarray(sample.image).resize((width, height), Image.Resampling.BILINEAR)
    mask = Image.fromarray(sample.mask).resize((width, height), Image.Resampling.NEAREST)
    return replace(sample, image=np.array(image), mask=np.array(mask))


@dataclass(frozen=True)
class RandomCrop:
    """Cut out a window; an image smaller than the window stays small, and is padded at the end (``pad_to``).

    A window in which one class covers ``cat_max_ratio`` of the labelled pixels or more, or which has fewer than two classes, is
    drawn again up to 10 times; the last draw is taken as it is.

    Args:
        size: ``(height, width)`` px.
        cat_max_ratio: 1 switches the rule off.
        ignore_index: label that the rule does not count.

    Example:
        >>> sample = Sample(np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8), "a")
        >>> RandomCrop(size=(16, 80))(sample, np.random.default_rng(0)).image.shape
        (16, 60, 3)
    """

    size: tuple[int, int]
    cat_max_ratio: float = 0.75
    ignore_index: int = 255

    def __post_init__(self) -> None:
        _require_size(self.size, "random_crop", "size")
        fits = 0 < self.cat_max_ratio <= 1
        _require(fits, "random_crop", "cat_max_ratio", f"expected more than 0 and at most 1, got {self.cat_max_ratio}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The window of image and mask."""
        window = self._draw(sample.mask, rng)
        for _ in range(_REDRAWS):
            if self._is_mixed(sample.mask[window]):
                break
            window = self._draw(sample.mask, rng)
        return replace(sample, image=sample.image[window], mask=sample.mask[window])

    def _draw(self, mask: NDArray[np.uint8], rng: np.random.Generator) -> tuple[slice, slice]:
        top, left = (int(rng.integers(max(have - want, 0) + 1)) for have, want in zip(mask.shape, self.size, strict=True))
        return slice(top, top + self.size[0]), slice(left, left + self.size[1])

    def _is_mixed(self, mask: NDArray[np.uint8]) -> bool:
        if self.cat_max_ratio >= 1:
            return True
        counts = np.bincount(mask.ravel(), minlength=256)
        counts[self.ignore_index] = 0
        return bool(np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < self.cat_max_ratio)


@dataclass(frozen=True)
class RandomFlip:
    """Mirror left and right with probability ``prob``.

    Example:
        >>> sample = Sample(np.zeros((1, 2, 3), np.uint8), np.array([[0, 1]], np.uint8), "a")
        >>> RandomFlip(prob=1.0)(sample, np.random.default_rng(0)).mask.tolist()
        [[1, 0]]
    """

    prob: float = 0.5

    def __post_init__(self) -> None:
        _require(0 <= self.prob <= 1, "random_flip", "prob", f"expected a probability 0..1, got {self.prob}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample or its mirror image."""
        if rng.random() >= self.prob:
            return sample
        return replace(sample, image=sample.image[:, ::-1], mask=sample.mask[:, ::-1])


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
        _require_range(self.contrast_range, "photometric", "contrast_range")
        _require_range(self.saturation_range, "photometric", "saturation_range")
        for name, value in (("brightness_delta", self.brightness_delta), ("hue_delta", self.hue_delta)):
            _require(value >= 0, "photometric", name, f"expected 0 or more, got {value}")

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


@lru_cache(maxsize=8)
def _normal_tables(mean: tuple[float, ...], std: tuple[float, ...]) -> NDArray[np.float32]:
    """``(3, 256)``: the normalised value of each level of each channel."""
    levels = np.arange(256) - np.array(mean)[:, None]
    tables: NDArray[np.float32] = (levels / np.array(std)[:, None]).astype(np.float32)
    return tables


def normalize(image: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """``(image - mean) / std``, channels first.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        mean: of RGB, in 0-255.
        std: of RGB, in 0-255.

    Returns:
        ``(3, H, W)`` float32.

    Example:
        >>> normalize(np.full((1, 1, 3), 30, np.uint8), (10, 20, 30), (10, 10, 10)).ravel().tolist()
        [2.0, 1.0, 0.0]
    """
    tables = _normal_tables(tuple(mean), tuple(std))
    return np.stack([table[image[..., channel]] for channel, table in enumerate(tables)])


def pad_to(
    image: NDArray[np.float32], mask: NDArray[np.uint8], size: tuple[int, int], ignore_index: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Pad at the right and the bottom up to ``size``; a side that is larger already stays as it is.

    Args:
        image: ``(3, H, W)`` after normalisation, so that the padding, 0, is the mean colour.
        mask: ``(H, W)``.
        size: ``(height, width)`` px.
        ignore_index: what the mask is padded with.

    Example:
        >>> image, mask = pad_to(np.ones((3, 1, 1), np.float32), np.zeros((1, 1), np.uint8), (1, 2), 255)
        >>> image[0].tolist(), mask.tolist()
        ([[1.0, 0.0]], [[0, 255]])
    """
    bottom, right = (max(want - have, 0) for have, want in zip(mask.shape, size, strict=True))
    if bottom == 0 and right == 0:
        return image, mask
    edges = ((0, bottom), (0, right))
    return np.pad(image, ((0, 0), *edges)), np.pad(mask, edges, constant_values=ignore_index)


#: Built-in transforms by the names that a config uses.
TRANSFORMS: Mapping[str, Callable[..., Transform]] = {
    "photometric": Photometric,
    "random_crop": RandomCrop,
    "random_flip": RandomFlip,
    "random_resize": RandomResize,
}
