"""Samples on one picture: labels over images, tiles in columns, a legend below.

Letters: H x W pixels. Images are ``(H, W, 3)`` uint8 RGB, masks ``(H, W)`` uint8 class indices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rayseg.errors import ShapeError
from rayseg.tracking.pictures import colorize

__all__ = ["legend", "overlay", "tiled"]

Pixels = NDArray[np.uint8]
Palette = Sequence[Sequence[int]]

_GAP_PX = 8
_TITLE_PX = 20
_FONT_PX = 13
_SWATCH_PX = 14
_ROW_PX = 22


def overlay(image: Pixels, mask: Pixels, palette: Palette, ignore_index: int, opacity: float = 0.6) -> Pixels:
    """Classes in their colours over an image; what is not labelled becomes dark.

    Args:
        image: ``(H, W, 3)`` RGB.
        mask: ``(H, W)`` class indices.
        palette: an RGB triple per class.
        ignore_index: value of the pixels without a label.
        opacity: of the colours, 0 to 1.

    Returns:
        ``(H, W, 3)`` uint8.

    Example:
        >>> overlay(np.zeros((1, 2, 3), np.uint8), np.array([[0, 255]], np.uint8), [(100, 200, 0)], 255, 0.5).tolist()
        [[[50, 100, 0], [12, 12, 12]]]
    """
    colours = colorize(mask, palette, ignore_index)
    blended: Pixels = np.rint((1 - opacity) * image + opacity * colours).astype(np.uint8)
    return blended


def tiled(tiles: Sequence[Pixels], titles: Sequence[str], columns: int) -> Pixels:
    """Tiles row by row on white, each under its title; every cell is as large as the largest tile.

    Args:
        tiles: ``(H_i, W_i, 3)`` uint8; one at least.
        titles: one per tile; what is wider than its tile is cut at the front.
        columns: tiles in one row, 1 or more.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        ShapeError: no tile, or not one title per tile.

    Example:
        >>> tiled([np.zeros((6, 8, 3), np.uint8)] * 3, ["a", "b", "c"], 2).shape
        (76, 40, 3)
    """
    if not tiles or len(titles) != len(tiles):
        raise ShapeError(f"tiled: {len(tiles)} tiles, {len(titles)} titles; expected a tile at least, and a title for each")
    columns = min(columns, len(tiles))
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    down, right = height + _TITLE_PX + _GAP_PX, width + _GAP_PX
    sheet = Image.new("RGB", (columns * right + _GAP_PX, -(-len(tiles) // columns) * down + _GAP_PX), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_PX)
    for number, (tile, title) in enumerate(zip(tiles, titles, strict=True)):
        left, top = _GAP_PX + number % columns * right, _GAP_PX + number // columns * down
        draw.text((left, top), _fitted(title, width, font), fill="black", font=font)
        sheet.paste(Image.fromarray(tile), (left, top + _TITLE_PX))
    return np.asarray(sheet, np.uint8)


def legend(names: Sequence[str], palette: Palette, width: int) -> Pixels:
    """A swatch and a name per class, in as many equal columns as fit.

    Args:
        names: of the classes.
        palette: an RGB triple per class.
        width: px.

    Returns:
        ``(H, width, 3)`` uint8.

    Example:
        >>> legend(["sky", "road"], [(0, 0, 255), (90, 90, 90)], 200).shape
        (30, 200, 3)
    """
    font = ImageFont.load_default(_FONT_PX)
    cell = _SWATCH_PX + 3 * _GAP_PX + max(round(font.getlength(name)) for name in names)
    columns = min(max(1, (width - _GAP_PX) // cell), len(names))
    sheet = Image.new("RGB", (width, -(-len(names) // columns) * _ROW_PX + _GAP_PX), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (name, colour) in enumerate(zip(names, palette, strict=False)):
        left, top = _GAP_PX + number % columns * cell, number // columns * _ROW_PX
        draw.rectangle((left, top, left + _SWATCH_PX, top + _SWATCH_PX), fill=tuple(colour), outline="black")
        draw.text((left + _SWATCH_PX + _GAP_PX, top - 1), name, fill="black", font=font)
    return np.asarray(sheet, np.uint8)


def _fitted(title: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The end of a title that is too long: file names differ there."""
    if font.getlength(title) <= width:
        return title
    while title and font.getlength(f"...{title}") > width:
        title = title[1:]
    return f"...{title}"
