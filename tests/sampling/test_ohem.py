"""OHEM: exact against a sort, the same on every worker, safe on void."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.errors import ConfigError, ShapeError
from rayseg.sampling import ohem
from tests.sampling.examples import random_example, shared_example


def by_sorting(logits: Tensor, target: Tensor, thresh: float | None, count: int) -> Tensor:
    """The definition, with a sort: below ``thresh``, or among the ``count`` hardest of the batch with ties."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    nll = F.cross_entropy(wide, target, ignore_index=255, reduction="none")
    valid = target != 255
    hardest = nll[valid].sort(descending=True).values[:count]
    kept = (nll >= hardest[-1]) if len(hardest) else torch.zeros_like(valid)
    if thresh is not None:
        kept = kept | (nll > -math.log(thresh))
    return (kept & valid).to(logits.dtype)


@pytest.mark.parametrize(("thresh", "min_kept", "kept"), [(0.7, 4, 25), (0.2, 4, 16), (0.2, 2, 16), (None, 4, 8)])
def test_keeps_as_many_as_mmsegmentation(thresh: float | None, min_kept: int, kept: int) -> None:
    logits, target = shared_example()
    weights = ohem(logits, target, ignore_index=255, thresh=thresh, min_kept=min_kept)
    assert weights.sum() == kept
    assert torch.equal(weights, by_sorting(logits, target, thresh, 2 * min_kept))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("thresh", [None, 0.05, 0.7, 1.0])
@pytest.mark.parametrize("min_kept", [1, 13, 41, 0.001, 0.5, 0.99])
def test_equals_a_sort(dtype: torch.dtype, thresh: float | None, min_kept: float) -> None:
    logits, target = random_example(0, dtype=dtype)
    weights = ohem(logits, target, ignore_index=255, thresh=thresh, min_kept=min_kept)
    count = min_kept if isinstance(min_kept, int) else math.ceil(min_kept * 42)
    assert weights.dtype == dtype
    assert torch.equal(weights, by_sorting(logits, target, thresh, 3 * count))


def test_all_labelled_pixels_are_kept_when_there_are_too_few() -> None:
    logits, target = shared_example()
    weights = ohem(logits, target, ignore_index=255, thresh=0.2, min_kept=14)
    assert torch.equal(weights, (target != 255).double())


def test_pixels_that_tie_for_the_last_place_are_all_kept() -> None:
    logits = torch.zeros(1, 2, 1, 6)
    logits[0, 0, 0, :2] = -5
    weights = ohem(logits, torch.zeros(1, 1, 6).long(), ignore_index=255, thresh=None, min_kept=3)
    assert weights.sum() == 6
    weights = ohem(logits, torch.zeros(1, 1, 6).long(), ignore_index=255, thresh=None, min_kept=2)
    assert weights.flatten().tolist() == [1, 1, 0, 0, 0, 0]


def test_a_zero_minimum_keeps_only_what_is_below_the_threshold() -> None:
    logits, target = random_example(1)
    weights = ohem(logits, target, ignore_index=255, thresh=0.1, min_kept=0)
    assert torch.equal(weights, by_sorting(logits, target, 0.1, 0))


def test_a_probability_equal_to_the_threshold_is_not_below_it() -> None:
    nll = torch.tensor([[[-math.log(0.5), 1.0]]], dtype=torch.float64)
    target = torch.zeros(1, 1, 2).long()
    weights = ohem(torch.zeros(1, 2, 1, 2), target, ignore_index=255, thresh=0.5, min_kept=0, nll=nll)
    assert weights.flatten().tolist() == [0, 1]


def test_given_losses_of_ignored_pixels_do_not_count() -> None:
    nll = torch.tensor([[[9.0, 9.0, 2.0, 1.0]]])
    target = torch.tensor([[[255, 255, 0, 0]]])
    weights = ohem(torch.zeros(1, 2, 1, 4), target, ignore_index=255, thresh=None, min_kept=1, nll=nll)
    assert weights.flatten().tolist() == [0, 0, 1, 0]


def test_given_losses_replace_the_logits() -> None:
    logits, target = random_example(2)
    nll = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
    nonsense = torch.full_like(logits, torch.nan)
    given_nll = ohem(nonsense, target, ignore_index=255, nll=nll.requires_grad_())
    assert torch.equal(given_nll, ohem(logits, target, ignore_index=255))


def test_weights_carry_no_gradient() -> None:
    logits, target = random_example(3)
    assert not ohem(logits.requires_grad_(), target, ignore_index=255).requires_grad


@pytest.mark.parametrize("images", [0, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("thresh", [None, 0.7])
def test_nothing_labelled_keeps_nothing(dtype: torch.dtype, images: int, thresh: float | None) -> None:
    logits = torch.randn(images, 3, 4, 4).to(dtype)
    weights = ohem(logits, torch.full((images, 4, 4), 255), ignore_index=255, thresh=thresh)
    assert weights.shape == (images, 4, 4)
    assert (weights == 0).all()


def test_by_loss_the_threshold_still_speaks_of_the_probability() -> None:
    logits, target = random_example(8)
    nll = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
    loss = nll * torch.tensor([0.1, 5.0, 1.0, 0.0, 2.0])[target.where(target != 255, 0)]
    weights = ohem(logits, target, ignore_index=255, thresh=0.1, min_kept=4, by="loss", pixel_loss=loss)
    hardest = loss >= loss.flatten().sort(descending=True).values[11]
    assert torch.equal(weights.bool(), (target != 255) & (hardest | (nll > -math.log(0.1))))
    assert not torch.equal(weights, ohem(logits, target, ignore_index=255, thresh=0.1, min_kept=4))


def test_the_loss_is_asked_for_only_by_who_ranks_by_it() -> None:
    logits, target = random_example(8)

    def asked() -> Tensor:
        raise AssertionError("asked")

    ohem(logits, target, ignore_index=255, pixel_loss=asked)
    with pytest.raises(AssertionError, match="asked"):
        ohem(logits, target, ignore_index=255, by="loss", pixel_loss=asked)


def test_a_share_of_one_keeps_every_labelled_pixel() -> None:
    logits, target = random_example(8)
    weights = ohem(logits, target, ignore_index=255, thresh=None, min_kept=1.0)
    assert torch.equal(weights.bool(), target != 255)


def test_one_channel_stands_for_two() -> None:
    logits, target = random_example(9)
    one, target = logits[:, :1], target.where(target == 255, target % 2)
    two = torch.cat([torch.zeros_like(one), one], 1)
    for thresh in (None, 0.6):
        weights = ohem(one, target, ignore_index=255, thresh=thresh, min_kept=5)
        assert torch.equal(weights, ohem(two, target, ignore_index=255, thresh=thresh, min_kept=5))


def test_the_ignored_label_may_be_a_class() -> None:
    logits, target = random_example(4)
    weights = ohem(logits, target.masked_fill(target == 255, 0), ignore_index=0, min_kept=41)
    assert (weights[target == 0] == 0).all()
    assert weights.sum() > 0


def test_a_count_that_would_switch_it_off_is_refused_with_a_remedy() -> None:
    logits, target = random_example(5)
    with pytest.raises(ShapeError, match=r"min_kept is 42 pixels.*6 x 7 = 42.*fraction of the crop"):
        ohem(logits, target, ignore_index=255, min_kept=42)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"min_kept": 1.1}, "min_kept"),
        ({"by": "loss"}, "by"),
        ({"min_kept": 100_000.0}, "min_kept"),
        ({"min_kept": -1}, "min_kept"),
        ({"thresh": 0.0}, "thresh"),
        ({"thresh": 1.5}, "thresh"),
        ({"thresh": None, "min_kept": 0}, "min_kept"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict[str, Any], path: str) -> None:
    logits, target = random_example(6)
    with pytest.raises(ConfigError) as caught:
        ohem(logits, target, ignore_index=255, **arguments)
    assert [problem.path for problem in caught.value.problems] == [path]
