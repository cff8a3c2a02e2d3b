"""Colours of an image in another light: MMSegmentation's PhotoMetricDistortion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rayseg.data._drawing import ALL, HUE, HUES, SATURATION, Stage
from rayseg.data._require import require, require_range
from rayseg.data.picture import Decoded
from rayseg.data.view import View
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
        return Sample(self.on_view(View.of(Decoded(sample)), rng).image(), sample.mask, sample.name)

    def on_view(self, view: View, rng: np.random.Generator) -> View:
        """The same of what is not decoded yet."""
        return view.coloured(self._stages(rng))

    def _stages(self, rng: np.random.Generator) -> list[Stage]:
        """Drawn in MMSegmentation's order."""
        first = self._drawn(rng, lambda: Stage(ALL, 1.0, rng.uniform(-self.brightness_delta, self.brightness_delta)))
        contrast_last = _coin(rng)
        before = [] if contrast_last else self._contrast(rng)
        saturation = self._drawn(rng, lambda: Stage(SATURATION, rng.uniform(*self.saturation_range), 0.0))
        hue = self._drawn(rng, lambda: self._hue(rng))
        after = self._contrast(rng) if contrast_last else []
        return [*first, *before, *saturation, *hue, *after]

    def _drawn(self, rng: np.random.Generator, stage: Callable[[], Stage | None]) -> list[Stage]:
        drawn = stage() if _coin(rng) else None
        return [] if drawn is None else [drawn]

    def _contrast(self, rng: np.random.Generator) -> list[Stage]:
        return self._drawn(rng, lambda: Stage(ALL, rng.uniform(*self.contrast_range), 0.0))

    def _hue(self, rng: np.random.Generator) -> Stage | None:
        if self.hue_delta == 0:
            return None
        return Stage(HUE, 1.0, float(rng.integers(-self.hue_delta, self.hue_delta) % HUES))


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.integers(2))
