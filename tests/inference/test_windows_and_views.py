"""Slide inference and test-time augmentation against pixel-by-pixel forms of their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rayseg.errors import ShapeError
from rayseg.inference import (
    Inference,
    augmented_logits,
    evaluate_split,
    predict_images,
    predicted_labels,
    scaled_size,
    slide_logits,
    window_starts,
)
from rayseg.kernels import StripScoring, compiled_scoring
from rayseg.losses import Dice, cross_entropy
from rayseg.mix import Head, Mix, Term
from rayseg.types import Batch

VOID = 255
IMAGES = torch.randn(2, 3, 11, 14, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
sizes = st.tuples(st.integers(1, 13), st.integers(1, 9), st.integers(1, 9)).filter(lambda each: each[2] <= each[1])


def by_place(crops: Tensor) -> Tensor:
    """Logits that depend on where in a window a pixel is, as those of a network with borders do; at half size."""
    rows = torch.arange(crops.shape[-2], dtype=crops.dtype)[:, None]
    edges = F.avg_pool2d(crops * (1 + rows) + crops.sum((-2, -1), keepdim=True), 2, ceil_mode=True)
    return edges[:, :2]


def one_by_one(predict: Callable[[Tensor], Tensor], images: Tensor, crop: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """For every pixel, the mean over all windows that hold it; windows as MMSegmentation's loop has them."""
    height, width = images.shape[-2:]
    said: dict[tuple[int, int], list[Tensor]] = {(y, x): [] for y in range(height) for x in range(width)}
    for i in range(max(height - crop[0] + stride[0] - 1, 0) // stride[0] + 1):
        for j in range(max(width - crop[1] + stride[1] - 1, 0) // stride[1] + 1):
            y2, x2 = min(i * stride[0] + crop[0], height), min(j * stride[1] + crop[1], width)
            y1, x1 = max(y2 - crop[0], 0), max(x2 - crop[1], 0)
            logits = predict(images[:, :, y1:y2, x1:x2])
            logits = F.interpolate(logits, size=(y2 - y1, x2 - x1), mode="bilinear", align_corners=False)
            for y in range(y1, y2):
                for x in range(x1, x2):
                    said[y, x].append(logits[:, :, y - y1, x - x1])
    pixels = [torch.stack(said[y, x]).mean(0) for y in range(height) for x in range(width)]
    return torch.stack(pixels, dim=-1).reshape(*pixels[0].shape, height, width)


@given(side=sizes)
def test_windows_cover_a_side_begin_with_it_and_end_with_it(side: tuple[int, int, int]) -> None:
    length, window, stride = side
    starts = window_starts(length, window, stride)
    assert {pixel for start in starts for pixel in range(start, min(start + window, length))} == set(range(length))
    assert starts == sorted(set(starts))
    assert starts[-1] == max(length - window, 0)
    assert all(start == index * stride for index, start in enumerate(starts[:-1]))


@settings(deadline=None, max_examples=25)
@given(rows=sizes, columns=sizes, batch_size=st.integers(1, 5))
def test_slide_is_the_mean_over_the_windows_of_each_pixel(
    rows: tuple[int, int, int], columns: tuple[int, int, int], batch_size: int
) -> None:
    images = IMAGES.repeat(1, 1, 2, 2)[:, :, : rows[0], : columns[0]]
    crop, stride = (rows[1], columns[1]), (rows[2], columns[2])
    found = slide_logits(by_place, images, crop_size=crop, stride=stride, batch_size=batch_size)
    torch.testing.assert_close(found, one_by_one(by_place, images, crop, stride))


def test_no_forward_pass_sees_more_windows_than_it_may() -> None:
    seen: list[int] = []

    def predict(crops: Tensor) -> Tensor:
        seen.append(len(crops))
        return crops

    slide_logits(predict, IMAGES, crop_size=(4, 4), stride=(3, 3), batch_size=5)
    assert max(seen) == 5
    assert sum(seen) == 2 * len(window_starts(11, 4, 3)) * len(window_starts(14, 4, 3))


@pytest.mark.parametrize("stride", [(5, 4), (4, 5), (0, 4)])
def test_strides_that_leave_pixels_out_are_refused(stride: tuple[int, int]) -> None:
    with pytest.raises(ShapeError, match="expected 1 to 4, or pixels are left out"):
        slide_logits(by_place, IMAGES, crop_size=(4, 4), stride=stride)


def mean_of_views(predict: Callable[[Tensor], Tensor], images: Tensor, sizes: list[tuple[int, int]], *, flip: bool) -> Tensor:
    """Mean probability over views, in the order of MMSegmentation's: to the view's size, mirrored back, to the image's."""
    resize = partial(F.interpolate, mode="bilinear", align_corners=False)
    found = []
    for size in sizes:
        for axes in ([], [3]) if flip else ([],):
            view = resize(images, size).flip(axes)
            logits = resize(resize(predict(view), size).flip(axes), images.shape[-2:])
            found.append(logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1))
    return torch.stack(found).mean(0)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("scales", "flip"), [([1.0], True), ([0.5, 1.0, 1.5], False), ([0.5, 2.0], True)])
def test_views_give_the_mean_of_their_probabilities(channels: int, scales: list[float], flip: bool) -> None:
    images = IMAGES[..., :10, :]

    def predict(view: Tensor) -> Tensor:
        return by_place(view)[:, :channels] / 50

    sizes = [(int(10 * scale + 0.5), int(14 * scale + 0.5)) for scale in scales]
    expected = mean_of_views(predict, images, sizes, flip=flip)
    logits = augmented_logits(predict, images, scales=scales, flip=flip)
    torch.testing.assert_close(logits.sigmoid() if channels == 1 else logits.softmax(1), expected)
    labels = (expected[:, 0] > 0.5).long() if channels == 1 else expected.argmax(1)
    assert torch.equal(predicted_labels(logits, images.shape[-2:]), labels)


@pytest.mark.parametrize(("scales", "sizes"), [((1.0,), [(15, 21)]), ((0.5, 2.0), [(7, 10), (30, 42)])])
def test_an_image_is_fitted_into_a_box_and_its_logits_come_back(
    scales: tuple[float, ...], sizes: list[tuple[int, int]]
) -> None:
    images = IMAGES[..., :10, :]
    expected = mean_of_views(lambda view: by_place(view) / 50, images, sizes, flip=False)
    ask = Inference(scales=scales, resize=(40, 15))
    found = augmented_logits(lambda view: by_place(view) / 50, images, scales=scales, resize=ask.resize)
    torch.testing.assert_close(found.softmax(1), expected)
    with torch.no_grad():
        torch.testing.assert_close(ask(network(2), images).softmax(1), mean_of_views(network(2), images, sizes, flip=False))


def test_a_probability_that_is_too_small_for_its_type_is_not_lost() -> None:
    far = torch.tensor([-200.0, 200.0]).view(1, 2, 1, 1)
    assert augmented_logits(lambda _: far, torch.zeros(1, 3, 1, 1), flip=True)[0, 0].item() == pytest.approx(-400)
    assert augmented_logits(lambda _: far[:, :1], torch.zeros(1, 3, 1, 1), flip=True).item() == pytest.approx(-200)


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), scale=st.floats(0.01, 4))
def test_scaled_sizes_keep_the_ratio_and_never_pass_the_rounded_scale(height: int, width: int, scale: float) -> None:
    found = scaled_size((height, width), scale)
    assert found == tuple(reversed(scaled_size((width, height), scale)))
    assert all(1 <= new <= max(1, int(side * scale + 0.5)) for new, side in zip(found, (height, width), strict=True))
    assert scaled_size((height, width), 1.0) == (height, width)


def test_no_scales_are_refused() -> None:
    with pytest.raises(ShapeError, match="at least one"):
        augmented_logits(by_place, IMAGES, scales=())


def network(channels: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, channels, 3, 2, 1)).double()


ASKED = {
    "slide": Inference((6, 8), (4, 5), batch_size=3),
    "views": Inference(scales=(0.75, 1.0), flip=True),
    "resized": Inference((6, 8), (6, 4), resize=(9, 30)),
    "both": Inference((6, 8), (5, 5), scales=(0.75, 1.25), flip=True, batch_size=2),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("channels", [1, 2])
def test_scores_loss_and_masks_are_of_the_same_fused_logits(channels: int, asked: Inference) -> None:
    model, mask = network(channels), torch.randint(2, (2, 11, 14), generator=torch.Generator().manual_seed(1))
    mask[0, :4] = VOID
    mix = Mix({"main": Head({"ce": Term(cross_entropy), "dice": Term(Dice())})})
    seen: list[Tensor] = []
    metrics, confusion = evaluate_split(
        model,
        [(Batch(IMAGES, mask, torch.arange(2)), [0, 1])],
        class_names=["ground", "vessel"],
        ignore_index=VOID,
        mix=mix,
        inference=asked,
        on_batch=lambda batch, indices, prediction: seen.append(prediction),  # noqa: ARG005
    )
    logits = asked(model.eval(), IMAGES)
    labels = (logits[:, 0] > 0).long() if channels == 1 else logits.argmax(1)
    assert torch.equal(seen[0], labels)
    assert confusion.trace() == (labels == mask).sum()
    z = logits[:, 0] if channels == 1 else logits[:, 1] - logits[:, 0]
    valid = mask != VOID
    expected = F.binary_cross_entropy_with_logits(z[valid], mask[valid].double())
    assert metrics["val/loss/ce"] == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("asked", [Inference(), ASKED["slide"], ASKED["views"]], ids=["whole", "slide", "views"])
@pytest.mark.parametrize("channels", [1, 2])
def test_scores_are_the_same_without_logits_at_full_size(channels: int, asked: Inference) -> None:
    model, mask = network(channels).float(), torch.randint(2, (2, 11, 14), generator=torch.Generator().manual_seed(1))
    mask[0, :4] = VOID
    batches = [(Batch(IMAGES.float(), mask, torch.arange(2)), [0, 1])]
    for names in (["ground", "vessel"], *([["ground", "vessel", "never"]] if asked == Inference() else [])):
        score = partial(evaluate_split, model, batches, class_names=names, ignore_index=VOID, inference=asked)
        seen: dict[str, list[Tensor]] = {}
        for scoring in (None, StripScoring(), compiled_scoring()):
            confusion = score(scoring=scoring)[1]
            with_borders = score(scoring=scoring, metrics=["mIoU", "mBoundaryIoU"])[0]
            seen[str(scoring)] = [confusion, torch.tensor(list(with_borders.values()))]
        first, *others = seen.values()
        assert all(torch.equal(*pair) for other in others for pair in zip(first, other, strict=True))


def test_pictures_are_asked_for_in_the_same_way() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (11, 14, 3), np.uint8)
    model, asked = network(2).float(), ASKED["both"]
    mask = next(predict_images(model, [picture], mean=(0, 0, 0), std=(255, 255, 255), inference=asked))
    image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    assert torch.equal(torch.from_numpy(mask).long(), asked(model, image).argmax(1)[0])
    plain = next(predict_images(model, [picture], mean=(0, 0, 0), std=(255, 255, 255)))
    assert (mask != plain).any()


def test_half_of_a_choice_of_windows_is_refused() -> None:
    with pytest.raises(ShapeError, match="give both"):
        Inference(crop_size=(4, 4))
    assert math.isfinite(Inference((4, 4), (4, 4))(network(1), IMAGES).sum())
