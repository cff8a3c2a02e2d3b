"""Borders of classes: the masks less their erosions, as in the code of Cheng et al. 2021, and what void does."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels import boundary_band, boundary_counts, boundary_width
from rayseg.metrics import boundary_iou, scores

C, VOID = 4, 255


def eroded(mask: Tensor, times: int) -> Tensor:
    """Of a mask ``(H, W)``, by 3 x 3 px; outside of the image there is nothing."""
    holes = (~mask).float()[None, None]
    for _ in range(times):
        holes = F.max_pool2d(F.pad(holes, (1,) * 4, value=1.0), 3, stride=1)
    return holes[0, 0] == 0


def one_by_one(prediction: Tensor, target: Tensor, ratio: float) -> Tensor:
    """For each image and class, the mask less its erosion, in which void is of every class."""
    total = torch.zeros(3, C, dtype=torch.int64)
    for predicted, labels in zip(prediction, target, strict=True):
        height, width = labels.shape
        times = max(1, round(ratio * (height**2 + width**2) ** 0.5))
        void = labels == VOID
        for c in range(C):
            masks = [(each == c) & ~void for each in (labels, predicted)]
            truth, found = (mask & ~eroded(mask | void, times) for mask in masks)
            total[:, c] += torch.stack([(truth & found).sum(), truth.sum(), found.sum()])
    return total


def pictures(seed: int, height: int, width: int, *, void: float) -> tuple[Tensor, Tensor]:
    """Blobs, and the same with some of them moved."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(C, (2, 1, 1 + height // 5, 1 + width // 5), generator=generator).float()
    target = F.interpolate(coarse, size=(height, width))[:, 0].long()
    prediction = target.roll(1, 2).where(torch.rand(target.shape, generator=generator) > 0.05, 0)
    return prediction, target.masked_fill(torch.rand(target.shape, generator=generator) < void, VOID)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 99),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    ratio=st.floats(0.005, 0.4),
    void=st.sampled_from([0.0, 0.1, 0.9]),
)
def test_counts_are_those_of_masks_less_their_erosions(seed: int, height: int, width: int, ratio: float, void: float) -> None:
    prediction, target = pictures(seed, height, width, void=void)
    assert torch.equal(boundary_counts(prediction, target, C, VOID, ratio), one_by_one(prediction, target, ratio))


def test_a_perfect_prediction_has_a_score_of_one_whatever_it_says_where_nothing_is_labelled() -> None:
    _, target = pictures(3, 24, 30, void=0.2)
    prediction = target.where(target != VOID, 2)
    assert boundary_iou(boundary_counts(prediction, target, C, VOID, 0.05)).tolist() == [1.0] * C


def test_void_makes_no_border_but_the_edge_of_the_image_does() -> None:
    labels = torch.zeros(1, 9, 9, dtype=torch.int64)
    labels[0, 4, 4] = VOID
    assert int(boundary_band(labels, VOID, 1).sum()) == 9 * 9 - 7 * 7


def test_borders_as_wide_as_the_image_give_the_iou_of_whole_masks() -> None:
    prediction, target = pictures(5, 20, 20, void=0.1)
    counts = boundary_counts(prediction, target, C, VOID, 1.0)
    confusion = torch.zeros(C, C, dtype=torch.int64)
    valid = target != VOID
    confusion.index_put_((target[valid], prediction[valid]), torch.tensor(1), accumulate=True)
    found = scores(confusion, list("abcd"), metrics=["mIoU", "mBoundaryIoU"], boundary=counts)
    assert found["mBoundaryIoU"] == found["mIoU"]


def test_widths_are_rounded_and_at_least_one() -> None:
    assert [boundary_width(30, 40, ratio) for ratio in (0.001, 0.02, 0.029, 0.031, 0.1)] == [1, 1, 1, 2, 5]


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ShapeError, match="must be equal"):
        boundary_counts(torch.zeros(1, 4, 4), torch.zeros(1, 4, 5), C, VOID, 0.02)
