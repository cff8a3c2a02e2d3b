"""A street scene, painted back to front: sky and ground, skyline, pavement and road, then what stands and drives there.

Letters: t depth, from 0 at the horizon to 1 at the bottom edge; px lengths at a picture of 128 rows, times ``street.scale``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rayseg.data._canvas import Canvas, Colour, Draws

__all__ = ["Street", "StreetClass", "draw_street", "paint_street"]

_T = TypeVar("_T", float, NDArray[np.float32])


class StreetClass(IntEnum):
    """Labels of the scene; all before ``CAR`` are surfaces ("stuff")."""

    SKY = 0
    BUILDING = 1
    ROAD = 2
    SIDEWALK = 3
    VEGETATION = 4
    CAR = 5
    POLE = 6
    PERSON = 7
    SIGN = 8


_SIGN_COLOURS: tuple[Colour, ...] = ((200, 35, 40), (30, 70, 190), (225, 190, 40), (235, 235, 235))


@dataclass(frozen=True)
class Street:
    """The geometry of a scene in one-point perspective; all lengths in px."""

    height: int
    width: int
    horizon: int
    vanish_x: float
    skew: float
    walk: float
    road: float
    shoulder: float

    @property
    def scale(self) -> float:
        """Size of things relative to a picture of 128 rows."""
        return self.height / 128

    def centre(self, t: _T) -> _T:
        """Middle of the road at depth t."""
        return self.vanish_x + self.skew * t

    def half_road(self, t: _T) -> _T:
        """Half the width of the road at depth t."""
        return self.road * t + self.shoulder / 2

    def half_walk(self, t: _T) -> _T:
        """Half the width of road and pavements at depth t."""
        return self.walk * t + self.shoulder

    def row(self, t: float) -> int:
        """Row of the ground at depth t."""
        return int(self.horizon + t * (self.height - self.horizon))


def draw_street(draws: Draws, height: int, width: int) -> Street:
    """The geometry of one scene."""
    walk = draws.real(0.9, 1.5) * width / 2
    return Street(
        height=height,
        width=width,
        horizon=draws.whole(0.36 * height, 0.54 * height),
        vanish_x=draws.real(0.35, 0.65) * width,
        skew=draws.real(-0.25, 0.25) * width,
        walk=walk,
        road=walk * draws.real(0.55, 0.8),
        shoulder=draws.real(0.0, 0.05) * width,
    )


def paint_street(draws: Draws, street: Street) -> Canvas:
    """The region map of one scene."""
    canvas = Canvas(np.zeros((street.height, street.width), np.uint16))
    clear = draws.chance(0.7)
    sky = draws.near((150, 180, 215), 45) if clear else draws.grey(150, 220)
    canvas.region(StreetClass.SKY, sky, 3, draws.whole(4, 26))
    _paint_skyline(canvas, draws, street)
    _paint_ground(canvas, draws, street)
    _paint_things(canvas, draws, street)
    return canvas


# ------------------------------------------------------------------------------------------------------------ skyline


def _paint_skyline(canvas: Canvas, draws: Draws, street: Street) -> None:
    left = 0
    while left < street.width:
        right = min(street.width, left + max(1, draws.whole(16 * street.scale, 52 * street.scale)))
        if draws.chance(0.30):
            _paint_trees(canvas, draws, street, left, right)
        else:
            _paint_building(canvas, draws, street, left, right)
        left = right


def _paint_trees(canvas: Canvas, draws: Draws, street: Street, left: int, right: int) -> None:
    trees = canvas.region(StreetClass.VEGETATION, draws.near((70, 105, 50), 28), 16, 40)
    top = max(2, int(street.horizon * (1 - draws.real(0.2, 0.7))))
    radius = max(4, int(7 * street.scale))
    rows = np.arange(street.horizon + 2)[:, None]
    for crown in range(left, right + 1, radius):
        x, y = crown + draws.whole(-2, 3), top + draws.whole(0, 10 * street.scale)
        columns = np.arange(max(0, x - radius), min(street.width, x + radius + 1))
        if columns.size:
            rise = np.sqrt(radius**2 - (columns - x) ** 2).astype(np.int64)
            part = canvas.view((0, street.horizon + 2), (int(columns[0]), int(columns[-1]) + 1))
            part[rows >= y - rise] = trees


def _paint_building(canvas: Canvas, draws: Draws, street: Street, left: int, right: int) -> None:
    top = max(2, int(street.horizon * (1 - draws.real(0.12, 1.0))))
    bottom = street.horizon + 2
    wall = canvas.region(StreetClass.BUILDING, draws.grey(60, 190, 22), 8, 16)
    canvas.box((top, bottom), (left, right), wall)
    if draws.chance(0.75):
        _paint_windows(canvas, draws, (top + 2, street.horizon), (left + 1, right - 1))
    if draws.chance(0.25):  # a drain pipe, which looks like a pole
        pipe = canvas.region(StreetClass.BUILDING, draws.grey(30, 110, 8), 6, 4)
        x = draws.whole(left, right)
        canvas.box((top, bottom), (x, x + draws.whole(1, 3)), pipe)
    if draws.chance(0.25):  # an advertisement, which looks like a sign
        poster = canvas.region(StreetClass.BUILDING, draws.paint(20, 235), 6, 6)
        x, y = draws.whole(left, right), draws.whole(top, street.horizon)
        rows = (y, min(street.horizon, y + draws.whole(3, 8)))
        canvas.box(rows, (x, min(right, x + draws.whole(3, 12))), poster)


def _paint_windows(canvas: Canvas, draws: Draws, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    glass = canvas.region(StreetClass.BUILDING, draws.grey(30, 230, 25), 8, 8)
    period_y, period_x = draws.whole(6, 12), draws.whole(6, 12)
    height, width = draws.whole(2, period_y - 2), draws.whole(2, period_x - 2)
    part = canvas.view(rows, columns)
    is_row = np.arange(part.shape[0]) % period_y < height
    is_column = np.arange(part.shape[1]) % period_x < width
    part[is_row[:, None] & is_column] = glass


# ------------------------------------------------------------------------------------------------------------- ground


def _paint_ground(canvas: Canvas, draws: Draws, street: Street) -> None:
    ground = canvas.view((street.horizon, street.height), (0, street.width))
    ground[:] = canvas.region(StreetClass.SIDEWALK, draws.near((145, 135, 130), 28), 10, 14)
    depth = np.linspace(0, 1, ground.shape[0], endpoint=False, dtype=np.float32)[:, None]
    aside = np.abs(np.arange(street.width, dtype=np.float32) - street.centre(depth))
    if draws.chance(0.7):  # a verge; otherwise the pavement goes on as a square
        verge = draws.near((85, 115, 60), 25) if draws.chance(0.7) else draws.near((140, 125, 75), 25)
        ground[aside > street.half_walk(depth)] = canvas.region(StreetClass.VEGETATION, verge, 14, 30)
    on_road = aside < street.half_road(depth)
    ground[on_road] = canvas.region(StreetClass.ROAD, draws.grey(70, 135, 10), 9, 12)
    line = canvas.region(StreetClass.ROAD, draws.grey(190, 235, 6), 6, 4)
    is_dash = (np.log2(depth + 0.03) * draws.whole(5, 9)).astype(np.int64) % 2 == 0
    ground[(aside < np.maximum(0.6, 2.2 * street.scale * depth)) & on_road & is_dash] = line


# ------------------------------------------------------------------------------------------------------------- things


def _paint_things(canvas: Canvas, draws: Draws, street: Street) -> None:
    cars = [(draws.real(0.10, 0.85) ** 1.3, _paint_car) for _ in range(draws.whole(0, 5))]
    persons = [(draws.real(0.10, 0.75), _paint_person) for _ in range(draws.whole(0, 6))]
    poles = [(draws.real(0.10, 0.70), _paint_pole) for _ in range(draws.whole(1, 6))]
    for t, paint in sorted(cars + persons + poles, key=lambda thing: thing[0]):
        paint(canvas, draws, street, t)


def _size_at(street: Street, t: float) -> float:
    return street.scale * (0.12 + t)


def _beside_road(draws: Draws, street: Street, t: float) -> int:
    """Column of something that stands on a pavement."""
    edges = sorted((street.half_road(t), street.half_walk(t)))
    side = 1 if draws.chance(0.5) else -1
    return int(street.centre(t) + side * draws.real(min(edges) + 1, max(edges)))


def _paint_car(canvas: Canvas, draws: Draws, street: Street, t: float) -> None:
    width = int(46 * _size_at(street, t) * draws.real(0.8, 1.25))
    height = max(3, int(width * draws.real(0.42, 0.6)))
    x = int(street.centre(t) + draws.real(-0.85, 0.85) * street.half_road(t))
    left, right, bottom = x - width // 2, x - width // 2 + width, street.row(t)
    waist, top = bottom - height + height * 2 // 5, bottom - height
    colour, shade = draws.paint(15, 240), draws.real(0.3, 0.6)
    roof_colour = (colour[0] * shade + 20, colour[1] * shade + 20, colour[2] * shade + 20)
    body = canvas.region(StreetClass.CAR, colour, 8, 10)
    roof = canvas.region(StreetClass.CAR, roof_colour, 8, 6)
    wheel = canvas.region(StreetClass.CAR, draws.grey(15, 40, 4), 6, 4)
    canvas.box((waist, bottom), (left, right), body)
    canvas.box((top, waist), (left + width // 6, right - width // 6), roof)
    rows, inset, breadth = (bottom - max(1, height // 5), bottom + max(1, height // 5) // 2), width // 8, max(1, width // 6)
    canvas.box(rows, (left + inset, left + inset + breadth), wheel)
    canvas.box(rows, (right - inset - breadth, right - inset), wheel)


def _paint_person(canvas: Canvas, draws: Draws, street: Street, t: float) -> None:
    x = _beside_road(draws, street, t)
    if draws.chance(0.12):  # on the road
        x = int(street.centre(t) + draws.real(-0.8, 0.8) * street.half_road(t))
    height = max(4, int(40 * _size_at(street, t) * draws.real(0.8, 1.1)))
    width = max(2, int(height * draws.real(0.24, 0.34)))
    bottom = street.row(t)
    top, waist, left = bottom - height, bottom - height * 2 // 5, x - width // 2
    coat = canvas.region(StreetClass.PERSON, draws.paint(), 8, 8)
    legs = canvas.region(StreetClass.PERSON, draws.grey(25, 110, 12), 8, 8)
    head = canvas.region(StreetClass.PERSON, draws.near((175, 130, 105), 35), 6, 4)
    canvas.box((top + height // 5, waist), (left, left + width), coat)
    canvas.box((waist, bottom), (left, left + width), legs)
    face = max(1, width // 2)
    canvas.box((top, top + max(1, height // 5)), (x - face // 2, x - face // 2 + face), head)


def _paint_pole(canvas: Canvas, draws: Draws, street: Street, t: float) -> None:
    x, size = _beside_road(draws, street, t), _size_at(street, t)
    width = max(1, int(4.2 * size * draws.real(0.6, 1.2)))
    bottom = street.row(t)
    top = max(1, int(bottom - draws.real(60, 100) * size))
    pole = canvas.region(StreetClass.POLE, draws.grey(40, 170, 8), 7, 5)
    canvas.box((top, bottom), (x, x + width), pole)
    carries = draws.real()
    if carries < 0.45:
        _paint_sign(canvas, draws, x + width // 2, top, max(3, int(15 * size * draws.real(0.7, 1.2))))
    elif carries < 0.7:  # the arm of a lamp
        canvas.box((top, top + max(1, width // 2)), (x - int(14 * size), x + width), pole)


def _paint_sign(canvas: Canvas, draws: Draws, x: int, top: int, side: int) -> None:
    left = x - side // 2
    plate = canvas.region(StreetClass.SIGN, _SIGN_COLOURS[draws.whole(0, len(_SIGN_COLOURS))], 6, 4)
    canvas.box((top, top + side), (left, left + side), plate)
    if side >= 6:
        inner, rim = canvas.region(StreetClass.SIGN, draws.grey(200, 245, 6), 6, 4), side // 4
        canvas.box((top + rim, top + side - rim), (left + rim, left + side - rim), inner)
