"""What an exported program computes, and how it is compared, without making one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rayseg.errors import ShapeError
from rayseg.inference import Agreement, Deployed, Sizes, agreement, predict_images

MEAN, STD = (30.0, 120.0, 210.0), (4.0, 8.0, 16.0)


def network(channels: int) -> nn.Module:
    torch.manual_seed(channels)
    return nn.Conv2d(3, channels, 3, stride=2, padding=1).eval()


@given(height=st.integers(1, 9), width=st.integers(1, 9), channels=st.integers(1, 4))
def test_the_classes_are_those_of_a_prediction(height: int, width: int, channels: int) -> None:
    model = network(channels)
    picture = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    predicted = next(predict_images(model, [picture], mean=MEAN, std=STD))
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        logits, probabilities, classes = (
            Deployed(model, mean=MEAN, std=STD, returns=returns)(images) for returns in ("logits", "probabilities", "classes")
        )
    np.testing.assert_array_equal(classes[0].numpy(), predicted)
    assert logits.shape == (1, channels, height, width)
    assert probabilities.shape == (1, max(channels, 2), height, width)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(1, height, width))
    expected = logits.sigmoid() if channels == 1 else logits.softmax(1)
    torch.testing.assert_close(probabilities[:, -channels:], expected)


@given(size=st.tuples(st.integers(1, 300), st.integers(1, 300)), multiple=st.sampled_from([1, 8, 16, 32]), least=st.just(64))
def test_the_nearest_size_is_allowed(size: tuple[int, int], multiple: int, least: int) -> None:
    for side, nearest in zip(size, Sizes(None, multiple, least).nearest(size), strict=True):
        assert nearest % multiple == 0
        assert nearest >= least
        assert nearest == least if side < least else side - multiple < nearest <= side


def twice(images: Tensor) -> Tensor:
    return 2 * images


def test_the_largest_difference_of_all_batches_is_found() -> None:
    batches = [torch.zeros(2, 3, 4, 4), torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 1, 1)]
    assert agreement(twice, lambda images: images, batches) == Agreement(4, 1.0, 2.0, 0.0)


def test_pixels_of_another_class_are_counted() -> None:
    classes = torch.arange(4).view(1, 2, 2)
    found = agreement(lambda _: classes, lambda _: classes.clamp(max=2), [torch.zeros(1, 3, 2, 2)])
    assert found == Agreement(1, 0.0, 0.0, 0.25)
    assert not found.within(0.2)
    assert found.within(0.25)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("last", [False, True])
def test_what_is_not_finite_never_agrees(value: float, last: bool) -> None:
    batches = [torch.ones(1, 3, 2, 2), torch.full((1, 3, 2, 2), value)][:: 1 if last else -1]
    for expected, got in ((twice, torch.ones_like), (torch.ones_like, twice), (twice, twice)):
        assert not agreement(expected, got, batches).within(1e9)


def test_another_shape_is_no_agreement() -> None:
    with pytest.raises(ShapeError, match=r"one makes \(1, 3, 2, 2\), the other \(1, 1, 2, 2\)"):
        agreement(twice, lambda images: images[:, :1], [torch.ones(1, 3, 2, 2)])
