"""Charts as PNG files, with PIL alone: the confusion matrix, curves over steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rayseg.errors import ShapeError
from rayseg.tracking.pictures import default_palette, encode_png

__all__ = ["confusion_picture", "curves_picture"]

_FONT_PX = 13
_WHITE = np.array([255.0, 255.0, 255.0])
_BLUE = np.array([8.0, 48.0, 107.0])
_GRID = (225, 225, 225)


def _font() -> Any:
    return ImageFont.load_default(_FONT_PX)


def _width(text: str) -> int:
    return int(_font().getlength(text)) + 1


def _clip(name: str, width_px: int) -> str:
    while _width(name) > width_px:
        name = name.rstrip("…")[:-1] + "…"
    return name


def _shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each row divided by its sum; a class without pixels is a row of NaN."""
    total = confusion.sum(axis=1, keepdims=True).astype(np.float64)
    shares: NDArray[np.float64] = np.divide(confusion, total, out=np.full(confusion.shape, np.nan), where=total > 0)
    return shares


def _write_up(sheet: Image.Image, text: str, left: int, bottom: int) -> None:
    """Write text that reads from bottom to top, its end at ``bottom``."""
    strip = Image.new("RGB", (_width(text) + 2, _FONT_PX + 5), "white")
    ImageDraw.Draw(strip).text((1, 0), text, fill="black", font=_font())
    turned = strip.rotate(90, expand=True)
    sheet.paste(turned, (left, bottom - turned.height))


def _cell(draw: ImageDraw.ImageDraw, left: int, top: int, size: int, share: float) -> None:
    if math.isnan(share):
        draw.rectangle((left, top, left + size - 1, top + size - 1), fill=(240, 240, 240))
        return
    red, green, blue = (_WHITE + (_BLUE - _WHITE) * math.sqrt(share)).astype(int).tolist()
    draw.rectangle((left, top, left + size - 1, top + size - 1), fill=(red, green, blue))
    text = f"{share * 100:.0f}"
    if size >= 24 and text != "0":
        center = (left + size / 2, top + size / 2)
        draw.text(center, text, fill="white" if share > 0.3 else "black", font=_font(), anchor="mm")


def confusion_picture(confusion: NDArray[np.int64], class_names: Sequence[str]) -> bytes:
    """Heat map of a confusion matrix, each row in per cent of the true class.

    Args:
        confusion: ``(C, C)`` counts, rows truth, columns prediction.
        class_names: C names.

    Returns:
        Bytes of a PNG file. A class without pixels is a grey row; shares that round to 0 % have no number.

    Raises:
        ShapeError: not square, or not one name per class.

    Example:
        >>> confusion_picture(np.array([[8, 2], [1, 9]]), ["road", "car"])[1:4]
        b'PNG'
    """
    number = len(class_names)
    if confusion.shape != (number, number):
        raise ShapeError(f"confusion_picture: matrix {confusion.shape} and {number} class names; expected (C, C) and C names")
    size = 34 if number <= 24 else max(6, 820 // number)
    labels = [_clip(name, 160) for name in class_names] if size >= _FONT_PX else [""] * number
    margin = max([_width(label) for label in labels] + [_width("truth")]) + 34
    sheet = Image.new("RGB", (margin + number * size + 16, margin + number * size + 16), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((margin, 6), "prediction", fill=(110, 110, 110), font=_font())
    _write_up(sheet, "truth (% of row)" if number > 3 else "truth", 4, margin + max(number * size, 60))
    for row, shares in enumerate(_shares(confusion)):
        top = margin + row * size
        draw.text((margin - 6, top + size / 2), labels[row], fill="black", font=_font(), anchor="rm")
        _write_up(sheet, labels[row], margin + row * size + (size - _FONT_PX) // 2 - 2, margin - 5)
        for column, share in enumerate(shares.tolist()):
            _cell(draw, margin + column * size, top, size, share)
    return encode_png(np.asarray(sheet, np.uint8))


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return low - room, high + room


def _axes(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], steps: tuple[int, int], span: tuple[float, float]) -> None:
    left, top, right, bottom = box
    for part in range(5):
        y = bottom - (bottom - top) * part / 4
        x = left + (right - left) * part / 4
        draw.line((left, y, right, y), fill=_GRID)
        draw.text((left - 8, y), f"{span[0] + (span[1] - span[0]) * part / 4:.3g}", fill="black", font=_font(), anchor="rm")
        draw.text(
            (x, bottom + 6), f"{steps[0] + (steps[1] - steps[0]) * part / 4:.0f}", fill="black", font=_font(), anchor="ma"
        )


def curves_picture(history: Sequence[tuple[int, Mapping[str, float]]], keys: Sequence[str]) -> bytes:
    """Lines of some metrics over the steps, on one scale.

    Args:
        history: rows ``(step, metrics)`` with rising steps, as ``read_history`` gives them.
        keys: metrics to draw; values that are not finite are gaps that are drawn over.

    Returns:
        Bytes of a PNG file of 800 x 400 pixels.

    Raises:
        ShapeError: the history has no finite value of any key.

    Example:
        >>> curves_picture([(1, {"train/loss": 2.0}), (2, {"train/loss": 1.5})], ["train/loss"])[1:4]
        b'PNG'
    """
    lines = {key: [(step, row[key]) for step, row in history if math.isfinite(row.get(key, math.nan))] for key in keys}
    points = [point for line in lines.values() for point in line]
    if not points:
        raise ShapeError(
            f"curves_picture: {len(history)} rows without a finite value of {', '.join(keys)}; expected one at least"
        )
    steps = min(step for step, _ in points), max(step for step, _ in points)
    span = _span([value for _, value in points])
    sheet = Image.new("RGB", (800, 400), "white")
    draw = ImageDraw.Draw(sheet)
    box = (70, 40, 780, 360)
    _axes(draw, box, steps, span)
    legend = box[0]
    for (key, line), color in zip(lines.items(), default_palette(len(keys)), strict=True):
        draw.line([_place(point, box, steps, span) for point in line], fill=color, width=2, joint="curve")
        draw.text((legend, 14), key, fill=color, font=_font())
        legend += _width(key) + 18
    return encode_png(np.asarray(sheet, np.uint8))


def _place(
    point: tuple[int, float], box: tuple[int, int, int, int], steps: tuple[int, int], span: tuple[float, float]
) -> tuple[float, float]:
    left, top, right, bottom = box
    x = left + (right - left) * (point[0] - steps[0]) / max(1, steps[1] - steps[0])
    return x, bottom - (bottom - top) * (point[1] - span[0]) / (span[1] - span[0])
