from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from rayseg.errors import ShapeError
from rayseg.tracking import (
    colorize,
    confusion_picture,
    contact_sheet,
    curves_picture,
    default_palette,
    encode_png,
    panel,
)

VOID = [24, 24, 24]


def decode(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_colours_are_distinct_and_the_same_in_every_run() -> None:
    palette = default_palette(256)
    assert len(set(palette)) == 256
    assert palette[:19] == default_palette(19)
    first = np.array(palette[:21])
    distance = np.abs(first[:, None] - first[None]).sum(-1) + 999 * np.eye(21)
    assert distance.min() > 40


def test_every_class_gets_its_colour_and_void_is_dark() -> None:
    mask = np.array([[0, 1, 2], [255, 9, 1]], np.uint8)
    colors = colorize(mask, [(1, 1, 1), (2, 2, 2), (3, 3, 3)], 255)
    assert colors.tolist() == [[[1] * 3, [2] * 3, [3] * 3], [VOID, VOID, [2] * 3]]


def test_an_ignored_class_inside_the_palette_is_dark() -> None:
    assert colorize(np.array([[0, 1]], np.uint8), [(9, 9, 9), (8, 8, 8)], 0).tolist() == [[VOID, [8, 8, 8]]]


def test_the_error_tile_is_red_exactly_where_the_prediction_is_wrong() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 30, 3), np.uint8)
    truth = rng.integers(0, 4, (20, 30)).astype(np.uint8)
    truth[:3] = 255
    prediction = rng.integers(0, 4, (20, 30)).astype(np.uint8)
    out = panel(image, truth, prediction, default_palette(4), 255)
    assert out.shape == (20, 4 * 30 + 3 * 4, 3)
    assert (out[:, :30] == image).all()
    assert (out[:, 34:64] == colorize(truth, default_palette(4), 255)).all()
    assert (out[:, 68:98] == colorize(prediction, default_palette(4), 255)).all()
    error = out[:, 102:].astype(int)
    red = error[..., 0] - error[..., 1] > 60
    assert (red == ((truth != prediction) & (truth != 255))).all()
    assert (error[:3] == VOID).all()


def test_a_panel_of_different_sizes_says_so() -> None:
    with pytest.raises(ShapeError, match=r"truth \(4, 4\), prediction \(2, 2\)"):
        panel(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((2, 2), np.uint8), [(0, 0, 0)], 255)


def test_a_sheet_holds_every_panel_below_its_title() -> None:
    wide, narrow = np.full((10, 40, 3), 7, np.uint8), np.full((6, 20, 3), 9, np.uint8)
    sheet = contact_sheet([wide, narrow], ["first", "second"])
    assert sheet.shape == (10 + 6 + 2 * 22 + 4, 40, 3)
    assert (sheet[22:32] == 7).all()
    assert (sheet[58:64, :20] == 9).all()
    assert (sheet[:22] < 128).any()
    with pytest.raises(ShapeError, match="a title for each"):
        contact_sheet([wide], ["a", "b"])


def test_a_png_gives_back_its_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    assert (decode(encode_png(pixels)) == pixels).all()


@pytest.mark.parametrize("number", [1, 2, 11, 19, 60, 150])
def test_a_confusion_matrix_has_a_dark_diagonal_at_any_size(number: int) -> None:
    seen = decode(confusion_picture(np.eye(number, dtype=np.int64) * 7, [f"class number {k}" for k in range(number)]))
    dark = (seen == (8, 48, 107)).all(axis=-1)
    rows, columns = np.nonzero(dark)
    assert rows.size > 20
    assert abs((rows - rows.min()) - (columns - columns.min())).max() < 40
    assert max(seen.shape) < 1200


def test_a_class_without_pixels_is_a_grey_row() -> None:
    def grey(confusion: list[list[int]]) -> int:
        seen = decode(confusion_picture(np.array(confusion), ["a", "b"]))
        return int((seen == (240, 240, 240)).all(axis=-1).sum())

    assert grey([[5, 5], [0, 0]]) - grey([[5, 5], [5, 5]]) >= 2 * 34 * 34


def test_names_and_matrix_must_fit() -> None:
    with pytest.raises(ShapeError, match="3 class names"):
        confusion_picture(np.zeros((2, 2), np.int64), ["a", "b", "c"])


def test_curves_draw_each_metric_and_skip_what_is_not_finite() -> None:
    history = [(step, {"a": 1 / step, "b": math.nan if step % 2 else 0.5}) for step in range(1, 20)]
    seen = decode(curves_picture(history, ["a", "b"]))
    for color in default_palette(2):
        assert (seen == color).all(axis=-1).sum() > 300
    with pytest.raises(ShapeError, match="without a finite value of c"):
        curves_picture(history, ["c"])
