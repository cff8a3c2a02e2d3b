"""Pictures of predictions: numpy and PIL only.

Letters: H x W pixels. Images are ``(H, W, 3)`` uint8 RGB, masks ``(H, W)`` uint8 class indices.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rayseg.errors import ShapeError

__all__ = ["colorize", "contact_sheet", "default_palette", "encode_png", "panel", "wrong_pixels"]

Pixels = NDArray[np.uint8]
Palette = Sequence[Sequence[int]]

_GAP_PX = 4
_TITLE_PX = 22
_VOID = (24, 24, 24)
_WRONG = (230, 30, 40)
_GOLDEN = 0.618033988749895


def default_palette(num_classes: int) -> list[tuple[int, int, int]]:
    """Distinct RGB colours, the same in every run: hues by the golden ratio, so that neighbours are far apart.

    Args:
        num_classes: number of colours, 256 at most.

    Example:
        >>> default_palette(2)
        [(217, 59, 43), (59, 95, 237)]
    """
    hues = ((0.015 + index * _GOLDEN) % 1.0 for index in range(num_classes))
    shades = ((0.80, 0.85), (0.75, 0.93), (0.60, 0.65), (0.90, 0.72), (0.45, 0.95))
    colors = (colorsys.hsv_to_rgb(hue, *shades[index % len(shades)]) for index, hue in enumerate(hues))
    return [(round(r * 255), round(g * 255), round(b * 255)) for r, g, b in colors]


def colorize(mask: Pixels, palette: Palette, ignore_index: int) -> Pixels:
    """Class indices as colours; ignored pixels, and indices beyond the palette, are dark.

    Args:
        mask: ``(H, W)`` class indices.
        palette: an RGB triple per class.
        ignore_index: value of the pixels without a label.

    Returns:
        ``(H, W, 3)`` uint8.

    Example:
        >>> colorize(np.array([[0, 255]], np.uint8), [(10, 20, 30)], 255).tolist()
        [[[10, 20, 30], [24, 24, 24]]]
    """
    table = np.full((256, 3), _VOID, np.uint8)
    table[: len(palette)] = np.asarray(palette, np.uint8).reshape(-1, 3)
    if 0 <= ignore_index < 256:
        table[ignore_index] = _VOID
    return table[mask]


def wrong_pixels(image: Pixels, truth: Pixels, prediction: Pixels, ignore_index: int) -> Pixels:
    """The image in light grey, wrong pixels red, ignored ones dark.

    Args:
        image: ``(H, W, 3)`` RGB.
        truth: ``(H, W)`` labels.
        prediction: ``(H, W)`` predicted classes.
        ignore_index: value of the pixels without a label.

    Returns:
        ``(H, W, 3)`` uint8.

    Example:
        >>> truth, found = np.array([[0, 1, 255]], np.uint8), np.array([[0, 0, 0]], np.uint8)
        >>> wrong_pixels(np.zeros((1, 3, 3), np.uint8), truth, found, 255).tolist()
        [[[96, 96, 96], [196, 46, 54], [24, 24, 24]]]
    """
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float32) * 0.5 + 96
    seen = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    valid = truth != ignore_index
    wrong = valid & (truth != prediction)
    seen[wrong] = (0.25 * seen[wrong] + 0.75 * np.asarray(_WRONG)).astype(np.uint8)
    seen[~valid] = _VOID
    return seen


def panel(image: Pixels, truth: Pixels, prediction: Pixels, palette: Palette, ignore_index: int) -> Pixels:
    """Image | truth | prediction | error, side by side.

    Args:
        image: ``(H, W, 3)`` RGB.
        truth: ``(H, W)`` labels.
        prediction: ``(H, W)`` predicted classes.
        palette: an RGB triple per class.
        ignore_index: value of the pixels without a label; they are dark in truth and error.

    Returns:
        ``(H, 4 W + 3 gaps, 3)`` uint8 with gaps of 4 white pixels.

    Raises:
        ShapeError: the three do not have the same height and width.

    Example:
        >>> grey, mask = np.full((6, 8, 3), 99, np.uint8), np.zeros((6, 8), np.uint8)
        >>> panel(grey, mask, mask, [(0, 0, 255)], 255).shape
        (6, 44, 3)
    """
    if image.shape != (*truth.shape, 3) or truth.shape != prediction.shape:
        raise ShapeError(
            f"panel: image {image.shape}, truth {truth.shape}, prediction {prediction.shape}; "
            "expected (H, W, 3), (H, W), (H, W) of one size: bring the prediction to the size of the mask first"
        )
    tiles = [
        image,
        colorize(truth, palette, ignore_index),
        colorize(prediction, palette, ignore_index),
        wrong_pixels(image, truth, prediction, ignore_index),
    ]
    gap = np.full((image.shape[0], _GAP_PX, 3), 255, np.uint8)
    return np.concatenate([part for tile in tiles for part in (tile, gap)][:-1], axis=1)


def contact_sheet(panels: Sequence[Pixels], titles: Sequence[str] | None = None) -> Pixels:
    """Panels below each other on white, each with its title above it.

    Args:
        panels: ``(H_i, W_i, 3)`` uint8; one at least.
        titles: one per panel; None leaves no room for titles.

    Returns:
        ``(sum of heights, largest width, 3)`` uint8.

    Raises:
        ShapeError: no panel, or not one title per panel.

    Example:
        >>> contact_sheet([np.zeros((6, 8, 3), np.uint8)] * 2).shape
        (16, 8, 3)
    """
    if not panels or (titles is not None and len(titles) != len(panels)):
        raise ShapeError(
            f"contact_sheet: {len(panels)} panels, titles {titles}; expected a panel at least, and a title for each"
        )
    title_px = 0 if titles is None else _TITLE_PX
    height = sum(tile.shape[0] + title_px for tile in panels) + _GAP_PX * (len(panels) - 1)
    sheet = Image.new("RGB", (max(tile.shape[1] for tile in panels), height), "white")
    draw = ImageDraw.Draw(sheet)
    top = 0
    for tile, title in zip(panels, titles or [""] * len(panels), strict=True):
        draw.text((4, top + 3), title, fill="black", font=ImageFont.load_default(14))
        sheet.paste(Image.fromarray(tile), (0, top + title_px))
        top += title_px + tile.shape[0] + _GAP_PX
    return np.asarray(sheet, np.uint8)


def encode_png(pixels: Pixels) -> bytes:
    """A PNG file's bytes.

    Args:
        pixels: ``(H, W, 3)`` or ``(H, W)`` uint8.

    Example:
        >>> encode_png(np.zeros((2, 2, 3), np.uint8))[1:4]
        b'PNG'
    """
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
