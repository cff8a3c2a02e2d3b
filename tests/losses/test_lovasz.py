"""Lovász losses: weights by counting against weights by sorting, values of the original code, ties, classes, void."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.errors import ConfigError, ShapeError
from rayseg.losses import Lovasz, LovaszHinge
from rayseg.losses.lovasz import jaccard_weights
from rayseg.mix import Head, Mix, Term, ValidationLoss
from tests.losses.test_spec_vectors_region import CLASS_WEIGHT, logits, of_mix, target

VOID = 255


def sorted_weights(truth: Tensor) -> Tensor:
    """The increments of the Jaccard loss along pixels in their order, as the paper writes them."""
    total = truth.sum()
    jaccard = 1 - (total - truth.cumsum(0)) / (total + (1 - truth).cumsum(0))
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])


def by_sorting(errors: Tensor, truth: Tensor) -> Tensor:
    """The loss of one class of pixels ``(P,)``."""
    if not len(errors):
        return errors.sum()
    order = errors.detach().argsort(descending=True)
    return (errors[order] * sorted_weights(truth[order].double())).sum()


def softmax_by_sorting(x: Tensor, labels: Tensor, classes: Sequence[int] | None = None) -> Tensor:
    probs, valid = x.softmax(1).movedim(1, -1)[labels != VOID], labels[labels != VOID]
    chosen = sorted(set(valid.tolist())) if classes is None else classes
    losses = [by_sorting(((valid == c).double() - probs[:, c]).abs(), valid == c) for c in chosen]
    return torch.stack(losses).mean() if losses else x.sum() * 0


def value_and_gradient(loss: Any, x: Tensor, labels: Tensor, **own: Any) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    value = Mix({"main": Head({"own": Term(loss, **own)})})({"main": x}, labels, step=0).total
    return value.detach(), torch.autograd.grad(value, x)[0]


def test_the_values_of_the_original_code() -> None:
    """It counts in float32, so the last digit differs."""
    assert of_mix(Lovasz()) == pytest.approx(0.82471681, abs=5e-8)
    assert of_mix(Lovasz(per_image=True)) == pytest.approx(0.82812679, abs=5e-8)


@pytest.mark.parametrize("classes", ["present", "all", (0, 2)])
def test_value_and_gradient_are_those_of_sorting(classes: Any) -> None:
    x, labels = logits(), target()
    labels[labels == 3] = 1  # class 3 is absent
    numbers = {"present": None, "all": (0, 1, 2, 3)}[classes] if isinstance(classes, str) else classes
    theirs = x.clone().requires_grad_()
    expected = softmax_by_sorting(theirs, labels, numbers)
    value, gradient = value_and_gradient(Lovasz(classes), x, labels)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, theirs)[0])


def test_the_hinge_is_that_of_sorting() -> None:
    z, labels = logits()[:, :1], (target() % 2).where(target() != VOID, VOID)
    valid = labels != VOID
    theirs = z.clone().requires_grad_()
    errors = (1 - theirs[:, 0][valid] * (2.0 * labels[valid] - 1)).relu()
    expected = by_sorting(errors, labels[valid] == 1)
    two = torch.cat([torch.zeros_like(z), z], dim=1)
    value, gradient = value_and_gradient(LovaszHinge(), two, labels)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient[:, 1:], torch.autograd.grad(expected, theirs)[0])
    numerator, denominator = LovaszHinge()(z, labels, ignore_index=VOID)
    torch.testing.assert_close(numerator / denominator, value)


def test_class_weights_of_the_hinge_weigh_the_two_sides() -> None:
    x, labels = logits()[:, :2], (target() % 2).where(target() != VOID, VOID)
    hinge = partial(value_and_gradient, LovaszHinge(), labels=labels)
    one = hinge(x)[0]
    torch.testing.assert_close(hinge(x, class_weight=torch.tensor([0.0, 1.0]))[0], one)
    other = value_and_gradient(LovaszHinge(), x.flip(1), (1 - labels).where(labels != VOID, VOID))[0]
    torch.testing.assert_close(hinge(x, class_weight=torch.tensor([1.0, 3.0]))[0], (other + 3 * one) / 4)


def test_class_weights_move_the_mean_or_scale_it() -> None:
    per_class = torch.tensor([of_mix(Lovasz(), class_weight=row) for row in torch.eye(4)])
    weight = CLASS_WEIGHT.float()
    assert of_mix(Lovasz(), class_weight=CLASS_WEIGHT) == pytest.approx(((per_class * weight).sum() / weight.sum()).item())
    scaled = of_mix(Lovasz(divide_by="classes"), class_weight=CLASS_WEIGHT)
    assert scaled == pytest.approx((per_class * weight).mean().item())
    chosen = of_mix(Lovasz((1, 3)), class_weight=CLASS_WEIGHT)
    assert chosen == pytest.approx(((per_class[1] + 4 * per_class[3]) / 5).item())


@st.composite
def ties(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    errors = draw(st.lists(st.integers(0, 3), min_size=1, max_size=12))
    return errors, draw(st.lists(st.integers(0, 1), min_size=len(errors), max_size=len(errors)))


@settings(max_examples=60, deadline=None)
@given(ties())
def test_with_ties_the_value_is_that_of_sorting_and_equal_pixels_have_equal_weights(case: tuple[list[int], list[int]]) -> None:
    errors, labels = torch.tensor([case[0]]).double() / 4, torch.tensor([case[1]])
    weights = jaccard_weights(errors, labels, 1)
    assert (weights >= 0).all()
    torch.testing.assert_close((errors * weights).sum(), by_sorting(errors[0], labels[0] == 1))
    for kind in set(zip(*case, strict=True)):
        alike = [weights[0, i].item() for i in range(len(case[0])) if (case[0][i], case[1][i]) == kind]
        assert len(set(alike)) == 1
    positive = errors[0] > 0
    first = sorted(range(len(case[0])), key=lambda i: (-case[0][i], -case[1][i]))  # pixels of the class before others
    grown = sorted_weights(labels[0][first].double())
    expected = {kind: [] for kind in set(zip(*case, strict=True))}  # type: dict[tuple[int, int], list[float]]
    for place, i in enumerate(first):
        expected[case[0][i], case[1][i]].append(grown[place].item())
    for i in positive.nonzero().flatten().tolist():
        shared = expected[case[0][i], case[1][i]]
        assert weights[0, i].item() == pytest.approx(sum(shared) / len(shared))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16))
def test_the_order_of_pixels_and_the_names_of_classes_do_not_matter(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, labels = (2 * logits()).round(), target()  # rounded, so that there are ties
    order, names = torch.randperm(15, generator=generator), torch.randperm(4, generator=generator)
    value, gradient = value_and_gradient(Lovasz(), x, labels)
    pixels = x.flatten(2)[..., order].view_as(x), labels.flatten(1)[:, order].view_as(labels)
    shuffled, shuffled_gradient = value_and_gradient(Lovasz(), *pixels)
    torch.testing.assert_close(shuffled, value)
    torch.testing.assert_close(shuffled_gradient.flatten(2), gradient.flatten(2)[..., order])
    classes = x[:, names], names.argsort()[labels.clamp(max=3)].where(labels != VOID, VOID)
    renamed, renamed_gradient = value_and_gradient(Lovasz(), *classes)
    torch.testing.assert_close(renamed, value)
    torch.testing.assert_close(renamed_gradient, gradient[:, names])


@pytest.mark.parametrize(
    "loss", [Lovasz(), Lovasz("all"), Lovasz((1,)), Lovasz(per_image=True), LovaszHinge(), LovaszHinge(per_image=True)]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_only_void_is_zero_with_zero_gradient(loss: Any, dtype: torch.dtype) -> None:
    value, gradient = value_and_gradient(loss, logits()[:, :2].to(dtype), torch.full((2, 3, 5), VOID))
    assert value == 0
    assert (gradient == 0).all()


def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_all() -> None:
    labels = target(void=False)
    sure = 100 * torch.nn.functional.one_hot(labels, 4).movedim(-1, 1).double()
    assert value_and_gradient(Lovasz(), sure, labels)[0].item() == pytest.approx(0, abs=1e-12)
    assert value_and_gradient(Lovasz(), sure.roll(1, 1), labels)[0].item() == pytest.approx(1)


def test_validation_ranks_each_image_alone_whatever_the_batches_are() -> None:
    head = Head({"own": Term(Lovasz()), "per rank": Term(Lovasz(), scope="rank")})
    found = []
    for batches in ([[0, 1]], [[0], [1]]):
        validation = ValidationLoss(head)
        for batch in batches:
            validation.add(logits()[batch], target()[batch])
        found.append(validation.result())
    assert found[0] == pytest.approx(found[1])
    assert found[0]["loss/own"] == pytest.approx(0.82812679, abs=5e-8)
    assert found[0]["loss/per rank"] == pytest.approx(0.82812679, abs=5e-8)


def test_senseless_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"classes: must be 'present', 'all' or a list of different classes, got \(\)"):
        Lovasz(())
    with pytest.raises(ConfigError, match=r"classes: got .* for 4 classes; give numbers from 0 to 3"):
        of_mix(Lovasz((0, 7)))
    with pytest.raises(ShapeError, match="logits have 4 channels; it knows two classes"):
        of_mix(LovaszHinge())
    assert not math.isnan(of_mix(Lovasz((3,))))
