"""Joint transforms of image and mask on uint8: ``(sample, rng) -> sample``.

All randomness comes from the generator that is passed in, so a transform is a pure function of the sample stream.
Source of the rules: MMSegmentation's RandomResize, RandomCrop, RandomFlip, PhotoMetricDistortion, Normalize and Pad. Resizing
is Pillow's (bilinear with antialiasing when shrinking, first across, then down; nearest for masks).

They also have ``on_view``, which says it of a picture that is not decoded yet (``view.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rayseg.data._native import label_counts
from rayseg.data._require import require, require_range, require_size
from rayseg.data._shortcuts import shortcut
from rayseg.data.photometric import Photometric
from rayseg.data.picture import Decoded
from rayseg.data.view import View
from rayseg.types import Sample

__all__ = ["TRANSFORMS", "RandomCrop", "RandomFlip", "RandomResize", "Transform", "asks_for_pixels", "transformed", "viewed"]

#: ``(sample, rng) -> sample``, a pure function of both.
Transform = Callable[[Sample, np.random.Generator], Sample]

_REDRAWS = 10


def transformed(view: View, transforms: Sequence[Transform], rng: np.random.Generator) -> Sample:
    """A picture after the transforms, in order; nothing is decoded before one of them needs it.

    Args:
        view: all of a picture.
        transforms: those with ``on_view(view, rng) -> View`` need no pixels.
        rng: the sample's own generator.

    Example:
        >>> sample = Sample(np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8), "a")
        >>> chain = [RandomResize(), RandomCrop(size=(16, 16)), RandomFlip()]
        >>> transformed(View.of(Decoded(sample)), chain, np.random.default_rng(0)).mask.shape
        (16, 16)
    """
    return viewed(view, transforms, rng).sample()


def viewed(view: View, transforms: Sequence[Transform], rng: np.random.Generator) -> View:
    """The same, not yet drawn: what :func:`transformed` draws.

    Example:
        >>> sample = Sample(np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8), "a")
        >>> viewed(View.of(Decoded(sample)), [RandomCrop(size=(16, 16))], np.random.default_rng(0)).size
        (16, 16)
    """
    for transform in transforms:
        on_view: Callable[[View, np.random.Generator], View] | None = shortcut(transform, "on_view", instead_of="__call__")
        view = View.of(Decoded(transform(view.sample(), rng))) if on_view is None else on_view(view, rng)
    return view


def asks_for_pixels(transform: Transform) -> bool:
    """Whether a picture whose colours are to be changed must be drawn before this: it resamples, or is not said of a view.

    Example:
        >>> asks_for_pixels(RandomFlip()), asks_for_pixels(RandomResize()), asks_for_pixels(lambda sample, rng: sample)
        (False, True, True)
    """
    return isinstance(transform, RandomResize) or shortcut(transform, "on_view", instead_of="__call__") is None


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
        require_range(self.ratio_range, "random_resize", "ratio_range")
        if self.scale is not None:
            require_size(self.scale, "random_resize", "scale")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Resized image (bilinear) and mask (nearest)."""
        return self.on_view(View.of(Decoded(sample)), rng).sample()

    def on_view(self, view: View, rng: np.random.Generator) -> View:
        """The same of what is not decoded yet."""
        low, high = self.ratio_range
        ratio = rng.random() * (high - low) + low
        own = view.size
        scale = self.scale or own
        size = (int(scale[0] * ratio), int(scale[1] * ratio))
        if self.keep_ratio:
            factor = min(max(size) / max(own), min(size) / min(own))
            size = (int(own[0] * factor + 0.5), int(own[1] * factor + 0.5))
        return view.resized((max(size[0], 1), max(size[1], 1)))


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
        require_size(self.size, "random_crop", "size")
        fits = 0 < self.cat_max_ratio <= 1
        require(fits, "random_crop", "cat_max_ratio", f"expected more than 0 and at most 1, got {self.cat_max_ratio}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The window of image and mask."""
        return self.on_view(View.of(Decoded(sample)), rng).sample()

    def on_view(self, view: View, rng: np.random.Generator) -> View:
        """The same of what is not decoded yet; the mask is looked up in the windows alone."""
        window = self._draw(view, rng)
        for _ in range(_REDRAWS):
            if self.cat_max_ratio >= 1 or self._is_mixed(window):
                break
            window = self._draw(view, rng)
        return window

    def _draw(self, view: View, rng: np.random.Generator) -> View:
        top, left = (int(rng.integers(max(have - want, 0) + 1)) for have, want in zip(view.size, self.size, strict=True))
        window = view.cropped(top, left, *self.size)
        return window if self.cat_max_ratio >= 1 else window.with_mask()

    def _is_mixed(self, window: View) -> bool:
        counts = label_counts(window.mask() if window.labels is None else window.labels)
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
        require(0 <= self.prob <= 1, "random_flip", "prob", f"expected a probability 0..1, got {self.prob}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample or its mirror image."""
        return self.on_view(View.of(Decoded(sample)), rng).sample()

    def on_view(self, view: View, rng: np.random.Generator) -> View:
        """The same of what is not decoded yet."""
        return view if rng.random() >= self.prob else view.flipped()


#: Built-in transforms by the names that a config uses.
TRANSFORMS: Mapping[str, Callable[..., Transform]] = {
    "photometric": Photometric,
    "random_crop": RandomCrop,
    "random_flip": RandomFlip,
    "random_resize": RandomResize,
}
