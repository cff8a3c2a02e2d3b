"""Edge maps against the convolutions and the brute force that define them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.errors import ConfigError
from rayseg.losses import TARGETS, boundaries, stdc_detail

VOID = 255


@st.composite
def label_maps(draw: st.DrawFn, *, void: bool = True) -> Tensor:
    """Blocks of a few labels, some without one, in sizes that the strides do not divide."""
    height, width, block = draw(st.integers(1, 13)), draw(st.integers(1, 13)), draw(st.integers(1, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    masks = torch.randint(0, 5, (2, -(-height // block), -(-width // block)), generator=generator)
    masks = masks.repeat_interleave(block, 1).repeat_interleave(block, 2)[:, :height, :width]
    if void:
        masks = masks.masked_fill(torch.rand(masks.shape, generator=generator) < draw(st.sampled_from([0.0, 0.1, 0.9])), VOID)
    return masks


def by_convolution(masks: Tensor, threshold: float) -> Tensor:
    """As the system that people come from computes it."""
    kernel = torch.full((1, 1, 3, 3), -1.0)
    kernel[..., 1, 1] = 8
    maps = []
    for stride in (1, 2, 4):
        steps = F.conv2d(masks[:, None].float(), kernel, stride=stride, padding=1).clamp(min=0)
        maps.append((F.interpolate(steps, masks.shape[1:], mode="nearest") > threshold).float())
    fused = F.conv2d(torch.cat(maps, 1), torch.tensor([0.6, 0.3, 0.1]).view(1, 3, 1, 1))
    return (fused > threshold)[:, 0].long()


@settings(max_examples=60, deadline=None)
@given(label_maps(), st.sampled_from([0.0, 0.05, 0.1, 0.35, 0.65]))
def test_details_of_raw_labels_are_those_of_the_convolutions(masks: Tensor, threshold: float) -> None:
    found = stdc_detail(masks, ignore_index=VOID, threshold=threshold, raw_labels=True)
    assert torch.equal(found, by_convolution(masks, threshold))


def test_an_edge_at_stride_four_only_is_not_kept() -> None:
    masks = torch.zeros(1, 12, 12, dtype=torch.long)
    masks[0, 4, 4] = 1
    at_stride_two = torch.zeros(12, 12, dtype=torch.long)
    at_stride_two[4:6, 4:6] = 1
    assert torch.equal(stdc_detail(masks, ignore_index=VOID)[0], at_stride_two)
    at_stride_four = torch.zeros(12, 12, dtype=torch.long)
    at_stride_four[4:8, 4:8] = 1
    assert torch.equal(stdc_detail(masks, ignore_index=VOID, threshold=0.05)[0], at_stride_four)


def test_details_lie_on_the_side_of_the_larger_number() -> None:
    masks = torch.tensor([2, 2, 2, 2, 5, 5, 5, 5]).expand(1, 8, 8)
    assert stdc_detail(masks, ignore_index=VOID)[0, 0].tolist() == [0, 0, 0, 0, 1, 1, 0, 0]


def test_neither_void_nor_the_border_makes_details_unless_asked() -> None:
    masks = torch.full((1, 9, 9), 3)
    masks[0, 3:5, 3:5] = VOID
    own = stdc_detail(masks, ignore_index=VOID)
    assert torch.equal(own, torch.zeros_like(masks).masked_fill(masks == VOID, VOID))
    raw = stdc_detail(masks, ignore_index=VOID, raw_labels=True)
    assert raw[0, 0, 0] == 1
    assert raw[0, 3, 3] == 1
    assert set(raw.unique().tolist()) == {0, 1}  # type: ignore[no-untyped-call]


@settings(max_examples=30, deadline=None)
@given(label_maps())
def test_details_of_labelled_pixels_do_not_depend_on_what_void_is_called(masks: Tensor) -> None:
    other = stdc_detail(masks.masked_fill(masks == VOID, 77), ignore_index=77)
    assert torch.equal(other.masked_fill(other == 77, VOID), stdc_detail(masks, ignore_index=VOID))


def near_another(masks: Tensor, width: int) -> Tensor:
    found = torch.zeros_like(masks)
    for n, h, w in torch.cartesian_prod(*(torch.arange(size) for size in masks.shape)).tolist():
        window = masks[n, max(h - width, 0) : h + width + 1, max(w - width, 0) : w + width + 1]
        found[n, h, w] = ((window != masks[n, h, w]) & (window != VOID)).any()
    return found.masked_fill(masks == VOID, VOID)


@settings(max_examples=30, deadline=None)
@given(label_maps(), st.integers(1, 3))
def test_boundaries_are_the_pixels_near_another_label(masks: Tensor, width: int) -> None:
    assert torch.equal(boundaries(masks, ignore_index=VOID, width=width), near_another(masks, width))


def test_senseless_arguments_are_refused() -> None:
    masks = torch.zeros(1, 2, 2, dtype=torch.long)
    with pytest.raises(ConfigError, match="threshold: must be from 0 to below 1, got 1"):
        stdc_detail(masks, ignore_index=VOID, threshold=1)
    with pytest.raises(ConfigError, match="width: must be at least 1, got 0"):
        boundaries(masks, ignore_index=VOID, width=0)
    for target in (stdc_detail, boundaries):
        with pytest.raises(ConfigError, match=r"ignore_index: is 0, which the edge map needs .* such as ignore_index: 255"):
            target(masks, ignore_index=0)


@pytest.mark.parametrize("target", TARGETS.values())
def test_a_share_without_images_has_a_target_without_images(target: Callable[..., Tensor]) -> None:
    assert target(torch.zeros(0, 4, 5, dtype=torch.long), ignore_index=255).shape == (0, 4, 5)
