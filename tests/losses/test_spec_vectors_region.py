"""Values that the original code gave on one example: (2, 4, 3, 5) logits, 26 of 30 pixels labelled; through the mix."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from rayseg.errors import ConfigError
from rayseg.losses import LOSSES, Dice, DiceFlat, DiceMmseg0x, DiceMmseg1x, FocalTversky, RegionLoss, Tversky
from rayseg.mix import Head, Mix, Term

CLASS_WEIGHT = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)


def logits() -> Tensor:
    return 2 * torch.sin(0.7 * torch.arange(2 * 4 * 3 * 5, dtype=torch.float64)).view(2, 4, 3, 5)


def target(*, void: bool = True) -> Tensor:
    n, h, w = torch.meshgrid(torch.arange(2), torch.arange(3), torch.arange(5), indexing="ij")
    labels = (7 * n + 3 * h + 2 * w) % 4
    if void:
        labels[:, 0, 0:2] = 255
    return labels


def of_mix(
    loss: Any,
    labels: Tensor | None = None,
    *,
    x: Tensor | None = None,
    class_weight: Tensor | None = None,
    ignore_index: int = 255,
) -> float:
    head = Head({"own": Term(loss, class_weight=class_weight)}, ignore_index=ignore_index)
    given = logits() if x is None else x
    return Mix({"main": head})({"main": given}, target() if labels is None else labels, step=0).total.item()


@pytest.mark.parametrize(
    ("exponent", "class_weight", "expected"),
    [(2, None, 0.65413907), (2, CLASS_WEIGHT, 1.33418250), (1, None, 0.73364960)],
)
def test_dice_of_mmsegmentation_0x(exponent: float, class_weight: Tensor | None, expected: float) -> None:
    assert of_mix(DiceMmseg0x(exponent=exponent), class_weight=class_weight) == pytest.approx(expected, abs=1e-8)


def test_dice_of_mmsegmentation_0x_where_a_class_is_ignored() -> None:
    assert of_mix(DiceMmseg0x(), target(void=False), ignore_index=0) == pytest.approx(0.51922671, abs=1e-8)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (DiceMmseg1x(), 0.64586493),
        (DiceMmseg1x(naive=True), 0.72775763),
        (DiceMmseg1x("softmax"), 0.76818306),
        (DiceMmseg1x("softmax", naive=True), 0.82787907),
    ],
)
def test_dice_of_mmsegmentation_1x(loss: RegionLoss, expected: float) -> None:
    assert of_mix(loss) == pytest.approx(expected, abs=1e-8)


def test_dice_of_mmsegmentation_1x_takes_probabilities_as_they_are() -> None:
    assert of_mix(DiceMmseg1x("none"), x=logits().sigmoid()) == pytest.approx(of_mix(DiceMmseg1x()), abs=1e-12)


def test_dice_of_mmsegmentation_1x_where_a_class_is_ignored_has_no_channel_for_it() -> None:
    labels, probs = target(void=False), logits().sigmoid()
    truth = torch.nn.functional.one_hot(labels, 4).movedim(-1, 1)[:, 1:].double()
    inner = (probs[:, 1:] * truth).flatten(1).sum(1)
    sizes = probs[:, 1:].square().flatten(1).sum(1) + truth.flatten(1).sum(1) + 2e-3
    assert of_mix(DiceMmseg1x(), labels, ignore_index=0) == pytest.approx((1 - 2 * inner / sizes).mean().item(), abs=1e-12)


def test_a_class_weight_in_1x_multiplies_the_sums_of_its_class() -> None:
    only_first = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    labels, probs = target(void=False), logits().sigmoid()[:, 0]
    truth = (labels == 0).double()
    inner, sizes = (probs * truth).sum((1, 2)), (probs.square() + truth).sum((1, 2)) + 2e-3
    assert of_mix(DiceMmseg1x(), labels, class_weight=only_first) == pytest.approx((1 - 2 * inner / sizes).mean().item())
    assert of_mix(DiceMmseg1x(), class_weight=torch.ones(4)) == pytest.approx(of_mix(DiceMmseg1x()), abs=1e-12)


@pytest.mark.parametrize(("alpha", "beta", "expected"), [(0.3, 0.7, 0.61886473), (0.5, 0.5, 0.62186060)])
def test_tversky_of_mmsegmentation(alpha: float, beta: float, expected: float) -> None:
    loss = Tversky(alpha, beta, classes="all", per_image=True, divide_by="classes")
    assert of_mix(loss) == pytest.approx(expected, abs=1e-8)
    assert of_mix(FocalTversky(1.0, alpha, beta, classes="all", per_image=True)) == pytest.approx(expected, abs=1e-8)


def test_tversky_of_mmsegmentation_is_scaled_by_class_weights() -> None:
    per_class = [of_mix(Tversky(classes="all", per_image=True), class_weight=row) for row in torch.eye(4)]
    expected = sum(w * loss for w, loss in zip(CLASS_WEIGHT.tolist(), per_class, strict=True)) / 4
    found = of_mix(Tversky(classes="all", per_image=True, divide_by="classes"), class_weight=CLASS_WEIGHT)
    assert found == pytest.approx(expected, abs=1e-12)


def test_flat_dice_of_one_image_with_one_channel() -> None:
    labels = (target(void=False)[:1] == 1).long()
    assert of_mix(DiceFlat(), labels, x=logits()[:1, :1]) == pytest.approx(0.84874365, abs=1e-8)


@pytest.mark.parametrize("loss", [DiceMmseg1x(), DiceMmseg1x(naive=True), DiceFlat(), Dice(activation="sigmoid")])
def test_one_channel_is_class_1_and_void_is_left_out(loss: RegionLoss) -> None:
    """MMSegmentation 1.x compares it with label 0; a better prediction would cost more."""
    labels = (target() == 1).long().masked_fill(target() == 255, 255)
    right = torch.where(labels == 1, 9.0, -9.0).double()[:, None]
    assert of_mix(loss, labels, x=right) < 0.2
    assert of_mix(loss, labels, x=-right) > 0.8


def test_a_class_weight_that_would_change_nothing_is_refused() -> None:
    labels = (target(void=False) == 1).long()
    with pytest.raises(ConfigError, match="class_weight: the sigmoid of one channel is one class, so a weight would change"):
        of_mix(DiceFlat(), labels, x=logits()[:, :1], class_weight=torch.ones(2))


def test_every_vector_is_of_a_loss_that_a_config_can_name() -> None:
    assert {DiceMmseg0x, DiceMmseg1x, DiceFlat, Tversky, FocalTversky} <= set(LOSSES.values())
