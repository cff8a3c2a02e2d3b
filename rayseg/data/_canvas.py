"""What a procedural scene is painted with: numbers in a fixed order, and a map of regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "Colour", "Draws"]

Colour = tuple[float, float, float]


def _uniforms(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(512).tolist()


class Draws:
    """Random numbers of one scene, fetched from the generator in blocks."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._uniforms = _uniforms(rng)

    def real(self, low: float = 0.0, high: float = 1.0) -> float:
        """Uniform in ``[low, high)``."""
        return low + (high - low) * next(self._uniforms)

    def whole(self, low: float, high: float) -> int:
        """Uniform in ``[low, high)``, cut to a whole number."""
        return int(self.real(low, high))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return next(self._uniforms) < probability

    def near(self, colour: Colour, spread: float) -> Colour:
        """A colour whose channels are up to ``spread`` away."""
        red, green, blue = colour
        return red + self.real(-spread, spread), green + self.real(-spread, spread), blue + self.real(-spread, spread)

    def grey(self, low: float, high: float, spread: float = 14) -> Colour:
        """A colour near a grey in ``[low, high)``."""
        level = self.real(low, high)
        return self.near((level, level, level), spread)

    def paint(self, low: float = 20, high: float = 220) -> Colour:
        """Any colour with channels in ``[low, high)``."""
        return self.real(low, high), self.real(low, high), self.real(low, high)


@dataclass
class Canvas:
    """A map of region numbers, painted back to front; each region has a class, a colour and a texture.

    Args:
        regions: ``(H, W)`` uint16 region numbers.
        labels: class of each region.
        colours: RGB of each region, 0-255.
        grains: strength of fine and coarse texture of each region.
    """

    regions: NDArray[np.uint16]
    labels: list[int] = field(default_factory=list)
    colours: list[Colour] = field(default_factory=list)
    grains: list[tuple[int, int]] = field(default_factory=list)

    def region(self, label: int, colour: Colour, fine: int = 10, coarse: int = 14) -> int:
        """Number of a new region."""
        self.labels.append(label)
        self.colours.append(colour)
        self.grains.append((fine, coarse))
        return len(self.labels) - 1

    def box(self, rows: tuple[int, int], columns: tuple[int, int], region: int) -> None:
        """Paint a rectangle, cut at the edges. px, the end excluded."""
        self.regions[_inside(*rows), _inside(*columns)] = region

    def view(self, rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.uint16]:
        """The part of the map in a rectangle; painting it paints the map."""
        return self.regions[_inside(*rows), _inside(*columns)]


def _inside(start: int, stop: int) -> slice:
    return slice(max(0, start), max(0, stop))
