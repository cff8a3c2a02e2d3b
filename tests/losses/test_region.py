"""Overlap losses: sums against a one-hot reference, values against MMSegmentation's, and what must not blow up."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.errors import ConfigError, ShapeError
from rayseg.losses import Dice, FocalTversky, Jaccard, RegionLoss, RegionSums, Tversky, region_sums

EVERY_LOSS = [
    partial(Dice),
    partial(Dice, power=2, smooth=0.0),
    partial(Dice, classes="all", smooth=0.0),
    partial(Jaccard),
    partial(Jaccard, classes="all", smooth=0.0),
    partial(Tversky),
    partial(Tversky, classes="all", smooth=0.0),
    partial(FocalTversky),
    partial(FocalTversky, gamma=0.5, classes="all", smooth=0.0),
]


def shared_example() -> tuple[Tensor, Tensor]:
    """The logits and labels on which the original code was run: (2, 4, 3, 5), 26 of 30 pixels labelled."""
    N, C, H, W = 2, 4, 3, 5
    logits = 2 * torch.sin(0.7 * torch.arange(N * C * H * W, dtype=torch.float64)).view(N, C, H, W)
    n, h, w = torch.meshgrid(torch.arange(N), torch.arange(H), torch.arange(W), indexing="ij")
    target = (7 * n + 3 * h + 2 * w) % 4
    target[:, 0, 0:2] = 255
    return logits, target


def one_hot_sums(probs: Tensor, target: Tensor, ignore_index: int) -> RegionSums:
    valid = target != ignore_index
    t = F.one_hot(target.masked_fill(~valid, 0), probs.shape[1]).movedim(-1, 1).to(probs.dtype) * valid[:, None]
    p = probs * valid[:, None]
    return RegionSums(*(x.sum((2, 3)) for x in (p * t, p, p * p, t)))


@pytest.mark.parametrize("ignore_index", [255, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_sums_and_their_gradients_equal_one_hot_sums(dtype: torch.dtype, ignore_index: int) -> None:
    logits, target = shared_example()
    target = target.masked_fill(target == 255, ignore_index)
    ours, theirs = logits.to(dtype).requires_grad_(), logits.to(dtype).requires_grad_()
    sums = region_sums(ours.softmax(1), target, ignore_index=ignore_index)
    expected = one_hot_sums(theirs.softmax(1), target, ignore_index)
    for our_sum, their_sum in zip(sums, expected, strict=True):
        assert our_sum.dtype == dtype
        torch.testing.assert_close(our_sum, their_sum)
    for our_sum, their_sum in zip(sums[:3], expected[:3], strict=True):
        (our_gradient,) = torch.autograd.grad(our_sum.square().sum(), ours, retain_graph=True)
        (their_gradient,) = torch.autograd.grad(their_sum.square().sum(), theirs, retain_graph=True)
        torch.testing.assert_close(our_gradient, their_gradient)


def test_sums_of_images_are_the_sums_of_parts() -> None:
    logits, target = shared_example()
    whole = region_sums(logits.softmax(1), target, ignore_index=255)
    parts = [region_sums(logits[i : i + 1].softmax(1), target[i : i + 1], ignore_index=255) for i in range(2)]
    for index, total in enumerate(whole):
        torch.testing.assert_close(total, torch.cat([part[index] for part in parts]))


@pytest.mark.parametrize(
    ("alpha", "beta", "expected"),
    [(0.3, 0.7, 0.61886473), (0.5, 0.5, 0.62186060)],
)
def test_tversky_equals_mmsegmentation(alpha: float, beta: float, expected: float) -> None:
    logits, target = shared_example()
    loss = Tversky(alpha, beta, classes="all", per_image=True)
    sums = region_sums(logits.softmax(1), target, ignore_index=255)
    assert loss.from_sums(sums, None).mean().item() == pytest.approx(expected, abs=1e-8)


def test_binary_dice_equals_the_flattened_sigmoid_form() -> None:
    p = shared_example()[0][0, 0].sigmoid()
    t = ((3 * torch.arange(3)[:, None] + 2 * torch.arange(5)) % 4 == 1).double()
    sums = RegionSums(*(x.sum().view(1) for x in (p * t, p, p * p, t)))
    assert Dice().from_sums(sums, None).item() == pytest.approx(0.84874365, abs=1e-8)


def test_dice_without_void_equals_mmsegmentation_0_30() -> None:
    logits, _ = shared_example()
    n, h, w = torch.meshgrid(torch.arange(2), torch.arange(3), torch.arange(5), indexing="ij")
    target = (7 * n + 3 * h + 2 * w) % 4
    p, t = logits.softmax(1), F.one_hot(target, 4).movedim(-1, 1)
    for power in (1, 2):
        per_class = 1 - (2 * (p * t).sum((2, 3)) + 1) / ((p**power + t).sum((2, 3)) + 1)
        ours = Dice(power=power, classes="all").from_sums(region_sums(p, target, ignore_index=255), None)
        torch.testing.assert_close(ours, per_class.mean(1))


def test_tversky_at_one_half_is_dice_and_at_one_is_jaccard() -> None:
    logits, target = shared_example()
    sums = region_sums(logits.softmax(1), target, ignore_index=255)
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(Tversky(0.5, 0.5, smooth=0.5).from_sums(sums, weight), Dice(smooth=1.0).from_sums(sums, weight))
    torch.testing.assert_close(Tversky(1.0, 1.0).from_sums(sums, weight), Jaccard().from_sums(sums, weight))


@pytest.mark.parametrize("make", EVERY_LOSS)
def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_almost_one(make: partial[RegionLoss]) -> None:
    target = torch.arange(3).view(1, 3, 1).expand(1, 3, 400)
    perfect = F.one_hot(target, 3).movedim(-1, 1).double()
    right = region_sums(perfect, target, ignore_index=255)
    wrong = region_sums(perfect.roll(1, dims=1), target, ignore_index=255)
    assert make().from_sums(right, None).item() == pytest.approx(0, abs=1e-12)
    assert make().from_sums(wrong, None).item() == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize("make", EVERY_LOSS)
def test_class_weights_move_the_mean_and_do_not_scale_it(make: partial[RegionLoss]) -> None:
    logits, target = shared_example()
    sums = region_sums(logits.softmax(1), target, ignore_index=255)
    per_class = torch.stack([make().from_sums(sums, row) for row in torch.eye(4)], dim=-1)
    weight = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(make().from_sums(sums, weight), (per_class * weight).sum(-1) / weight.sum())
    torch.testing.assert_close(make().from_sums(sums, 7 * weight), make().from_sums(sums, weight))
    torch.testing.assert_close(make().from_sums(sums, None), per_class.mean(-1))


@pytest.mark.parametrize("make", EVERY_LOSS)
def test_leading_dimensions_stay(make: partial[RegionLoss]) -> None:
    logits, target = shared_example()
    sums = region_sums(logits.softmax(1), target, ignore_index=255)
    batch = RegionSums(*(x.sum(0) for x in sums))
    assert make().from_sums(sums, None).shape == (2,)
    assert make().from_sums(batch, None).shape == ()
    assert isinstance(make(), RegionLoss)


def test_absent_classes_count_only_under_all() -> None:
    target = torch.tensor([[[0, 0, 0, 0]]])
    probs = torch.tensor([0.8, 0.2, 0.0]).view(1, 3, 1, 1).expand(1, 3, 1, 4)
    sums = region_sums(probs, target, ignore_index=255)
    present = 1 - (2 * 3.2) / (3.2 + 4)
    assert Dice(smooth=0.0).from_sums(sums, None).item() == pytest.approx(present, rel=1e-5)
    # Class 1 was predicted and is absent: 1. Class 2 was neither: 0.
    assert Dice(smooth=0.0, classes="all").from_sums(sums, None).item() == pytest.approx((present + 1 + 0) / 3, rel=1e-5)


@pytest.mark.parametrize("images", [0, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("make", EVERY_LOSS)
def test_nothing_labelled_is_zero_without_nan(make: partial[RegionLoss], dtype: torch.dtype, images: int) -> None:
    logits = torch.randn(images, 3, 4, 4).to(dtype).requires_grad_()
    sums = region_sums(logits.softmax(1), torch.full((images, 4, 4), 255), ignore_index=255)
    assert all(x.shape == (images, 3) for x in sums)
    batch = RegionSums(*(x.sum(0) for x in sums))
    loss = make().from_sums(sums, None).sum() + make().from_sums(batch, torch.zeros(3))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0
    assert (gradient == 0).all()


def test_half_precision_sums_are_float32() -> None:
    logits, target = shared_example()
    probs = logits.softmax(1).bfloat16()
    sums = region_sums(probs, target, ignore_index=255)
    torch.testing.assert_close(sums, region_sums(probs.float(), target, ignore_index=255), rtol=0, atol=0)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError, match="resize the logits"):
        region_sums(torch.rand(1, 3, 4, 4), torch.zeros(1, 8, 8).long(), ignore_index=255)


def test_senseless_arguments_are_named_all_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Dice(power=3, smooth=-1.0, classes="some")  # type: ignore[arg-type]
    assert {problem.path for problem in caught.value.problems} == {"power", "smooth", "classes"}
    with pytest.raises(ConfigError, match="alpha: must not be negative"):
        Tversky(alpha=-0.1)
