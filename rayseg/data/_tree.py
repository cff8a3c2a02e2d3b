"""A tree of vessels that grows from a spot over a disc, all tips at once.

Lengths are in px of a disc in a picture of 128 px, times ``Disc.scale``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Disc", "grow_tree", "paint_tree"]

Floats = NDArray[np.float64]

_STEP = 0.45
_STEPS = 335
_TRUNKS = 6
_MOST_TIPS = 45
_THINNEST, _THINNEST_THAT_BRANCHES = 0.55, 0.8
_THICKEST = 3.2


@dataclass(frozen=True)
class Disc:
    """The part of a picture that shows something.

    Args:
        height: of the picture, px.
        width: of the picture, px.
    """

    height: int
    width: int

    @property
    def scale(self) -> float:
        """Size of things relative to a picture of 128 px."""
        return min(self.height, self.width) / 128

    @property
    def radius(self) -> float:
        """Of the disc, px."""
        return 0.485 * min(self.height, self.width)

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column, px."""
        return self.height / 2, self.width / 2

    def squared_distance_to(self, y: float, x: float) -> NDArray[np.float32]:
        """``(H, W)`` px^2 from each pixel to a point."""
        rows, columns = np.arange(self.height, dtype=np.float32)[:, None], np.arange(self.width, dtype=np.float32)
        return (rows - np.float32(y)) ** 2 + (columns - np.float32(x)) ** 2

    @cached_property
    def squared_distance(self) -> NDArray[np.float32]:
        """``(H, W)``: 0 in the centre, 1 at the rim."""
        return self.squared_distance_to(*self.centre) / np.float32(self.radius**2)

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """``(H, W)``."""
        return self.squared_distance < 1

    def holds(self, y: Floats, x: Floats) -> NDArray[np.bool_]:
        """Whether points are inside."""
        row, column = self.centre
        return np.asarray((y - row) ** 2 + (x - column) ** 2 < self.radius**2)

    def beside_the_centre(self, rng: np.random.Generator) -> tuple[float, float]:
        """A point well to the left or to the right, where vessels come from."""
        row, column = self.centre
        side = 1 if rng.random() < 0.5 else -1
        return row + rng.uniform(-0.12, 0.12) * self.radius, column + side * self.radius * rng.uniform(0.45, 0.7)


@dataclass
class _Tips:
    """Growing ends, ``(T,)`` each: place in px, direction in rad, its change per length, width in lengths."""

    y: Floats
    x: Floats
    angle: Floats
    bend: Floats
    width: Floats

    def chosen(self, which: NDArray[np.bool_]) -> _Tips:
        return _Tips(self.y[which], self.x[which], self.angle[which], self.bend[which], self.width[which])

    def joined(self, other: _Tips) -> _Tips:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Tips(*(np.concatenate(pair) for pair in pairs))


def grow_tree(rng: np.random.Generator, disc: Disc, spot: tuple[float, float]) -> Floats:
    """Points ``(P, 3)`` along all branches: row and column in px, width in px."""
    tips, points = _trunks(rng, disc, spot), []
    for _ in range(_STEPS):
        points.append(np.stack([tips.y, tips.x, tips.width * disc.scale], axis=1))
        _advance(rng, tips, disc.scale)
        tips = _branched(rng, tips)
        tips = tips.chosen(disc.holds(tips.y, tips.x) & (tips.width > _THINNEST))
        if not len(tips.y):
            break
    return np.concatenate(points)


def _trunks(rng: np.random.Generator, disc: Disc, spot: tuple[float, float]) -> _Tips:
    """A fan that opens towards the far rim and arches around the centre."""
    y, x = spot
    side = 1 if x > disc.width / 2 else -1
    fan = np.linspace(-1.25, 1.25, _TRUNKS) * rng.uniform(0.9, 1.15) + rng.normal(0, 0.18, _TRUNKS)
    angle = np.pi * (side > 0) + fan
    bend = -side * np.sign(np.sin(angle)) * rng.uniform(0.002, 0.012, _TRUNKS)
    return _Tips(np.full(_TRUNKS, y), np.full(_TRUNKS, x), angle, bend, rng.uniform(1.9, _THICKEST, _TRUNKS))


def _advance(rng: np.random.Generator, tips: _Tips, scale: float) -> None:
    """One step of every tip."""
    tips.angle += tips.bend * _STEP + rng.normal(0, 0.055, len(tips.y)) * np.sqrt(_STEP)
    tips.y += np.sin(tips.angle) * _STEP * scale
    tips.x += np.cos(tips.angle) * _STEP * scale
    tips.width *= 1 - 0.0045 * _STEP


def _branched(rng: np.random.Generator, tips: _Tips) -> _Tips:
    """Some tips fork into a wider and a thinner one."""
    forks = (rng.random(len(tips.y)) < 0.02 * _STEP) & (tips.width > _THINNEST_THAT_BRANCHES)
    if not forks.any() or len(tips.y) >= _MOST_TIPS:
        return tips
    thinner = tips.chosen(forks)
    turn = np.where(rng.random(len(thinner.y)) < 0.5, 1, -1) * rng.uniform(0.35, 0.8, len(thinner.y))
    tips.angle[forks] -= 0.35 * turn
    tips.width[forks] *= 0.92
    thinner.angle += turn
    thinner.bend *= -0.5
    thinner.width *= rng.uniform(0.5, 0.8, len(thinner.y))
    return tips.joined(thinner)


def paint_tree(points: Floats, disc: Disc) -> NDArray[np.int16]:
    """``(H, W)``: how dark the vessel is there, 0 where there is none; wide ones are darker."""
    reach = int(np.ceil(_THICKEST * disc.scale / 2)) + 1
    canvas = np.zeros((disc.height + 2 * reach, disc.width + 2 * reach), np.int16)
    rows, columns = (np.rint(points[:, axis]).astype(np.intp) + reach for axis in (0, 1))
    squared_radius = (points[:, 2] / 2) ** 2
    darkness = (14 + 9 * points[:, 2] / disc.scale).astype(np.int16)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            wide = squared_radius >= dy**2 + dx**2
            canvas[rows[wide] + dy, columns[wide] + dx] = darkness[wide]
    return canvas[reach:-reach, reach:-reach]
