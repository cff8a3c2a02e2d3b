"""What every built-in loss must satisfy, as a term of a mix, for logits and labels by chance."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.losses import LOSSES as BUILT_IN
from rayseg.losses import (
    SOFT_TARGETS,
    TAKE_SOFT_TARGETS,
    Boundary,
    Dice,
    DiceFlat,
    DiceMmseg0x,
    DiceMmseg1x,
    Jaccard,
    Lovasz,
    LovaszHinge,
    Tversky,
)
from rayseg.mix import Head, Mix, Term, ValidationLoss
from rayseg.sampling import ohem, top_k

VOID = 255
#: Options of one name that make another loss of it.
VARIANTS: dict[str, Any] = {
    "boundary per image": Boundary(per_image=True),
    "dice of all classes": Dice(power=2, classes="all"),
    "dice of the sigmoid": Dice(activation="sigmoid", divide_by="classes"),
    "dice_flat per image": DiceFlat(per_image=True),
    "dice_mmseg_0x plain": DiceMmseg0x(smooth=0.0, exponent=1),
    "dice_mmseg_1x naive": DiceMmseg1x("softmax", naive=True),
    "jaccard per image": Jaccard(per_image=True, smooth=0.0),
    "lovasz of all classes": Lovasz("all", divide_by="classes"),
    "lovasz per image": Lovasz(per_image=True),
    "lovasz_hinge per image": LovaszHinge(per_image=True),
    "tversky per image": Tversky(0.8, 0.1, classes="all", per_image=True),
}
LOSSES: dict[str, Any] = {**BUILT_IN, **VARIANTS}
#: They look at where a pixel is.
NEIGHBOURS = {"hausdorff"}
#: Their definitions count what is predicted where nothing is labelled.
SEES_VOID = {name for name in LOSSES if name.startswith("dice_mmseg")}
#: The value over a split is not that of its images together.
NOT_ADDED_UP = {"lovasz", "lovasz_hinge", "lovasz of all classes"}
#: They know two classes, of which one is what is looked for.
TWO_CLASSES = {name for name in LOSSES if name.startswith(("boundary", "lovasz_hinge"))}
#: Without weights that differ between classes.
ALIKE: dict[str, dict[str, Any]] = {"focal": {"alpha": None}}

Case = tuple[Tensor, Tensor, list[int]]


def term(name: str, *, soft: bool = False) -> Term:
    loss = LOSSES[name]
    made = loss() if isinstance(loss, type) else loss if name in VARIANTS else partial(loss, **ALIKE.get(name, {}))
    return Term(made, target=SOFT_TARGETS["one_hot"] if soft else None)


def total(name: str, logits: Tensor, labels: Tensor, *, soft: bool = False) -> Tensor:
    head = Head({"loss": term(name, soft=soft)})
    return Mix({"main": head})({"main": logits}, labels, step=0).total


@st.composite
def batches(draw: st.DrawFn, name: str, smallest: int = 1) -> Case:
    """Logits of 1 to 4 channels, labels of which some, or all, are void, and an order of the classes."""
    images, channels = draw(st.integers(1, 3)), draw(st.integers(smallest, 2 if name in TWO_CLASSES else 4))
    height, width = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale, void = draw(st.sampled_from([0.1, 2.0, 30.0])), draw(st.sampled_from([0.0, 0.4, 1.0]))
    logits = scale * torch.randn(images, channels, height, width, generator=generator, dtype=torch.float64)
    labels = torch.randint(max(2, channels), (images, height, width), generator=generator)
    labels[torch.rand(images, height, width, generator=generator) < void] = VOID
    return logits, labels, draw(st.permutations(range(channels)))


def holds(test: Any) -> Any:
    return settings(max_examples=8, deadline=None, derandomize=True)(test)


def same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - NEIGHBOURS))
@holds
@given(data=st.data())
def test_the_order_of_pixels_does_not_matter(name: str, data: st.DataObject) -> None:
    logits, labels, _ = data.draw(batches(name))
    order = torch.randperm(labels[0].numel(), generator=torch.Generator().manual_seed(labels.numel()))
    moved = logits.flatten(2)[..., order].view_as(logits), labels.flatten(1)[:, order].view_as(labels)
    same(total(name, *moved), total(name, logits, labels))


@pytest.mark.parametrize("name", sorted(set(LOSSES) - SEES_VOID))
@holds
@given(data=st.data())
def test_padding_with_void_changes_nothing(name: str, data: st.DataObject) -> None:
    logits, labels, _ = data.draw(batches(name))
    padded = torch.nn.functional.pad(logits, (0, 2, 1, 0), value=3.0), torch.nn.functional.pad(labels, (0, 2, 1, 0), value=VOID)
    same(total(name, *padded), total(name, logits, labels))


@pytest.mark.parametrize("name", sorted(set(LOSSES) - SEES_VOID - TWO_CLASSES))
@holds
@given(data=st.data())
def test_the_names_of_classes_do_not_matter(name: str, data: st.DataObject) -> None:
    logits, labels, order = data.draw(batches(name, smallest=2))
    number = torch.tensor(order).argsort()
    renamed = labels.where(labels == VOID, number[labels.where(labels != VOID, 0)])
    same(total(name, logits[:, order], renamed), total(name, logits, labels))


@pytest.mark.parametrize("name", sorted(set(LOSSES) - NOT_ADDED_UP))
@holds
@given(data=st.data())
def test_the_sums_of_images_add_up_to_those_of_the_batch(name: str, data: st.DataObject) -> None:
    logits, labels, _ = data.draw(batches(name))
    pieces = ValidationLoss(Head({"loss": term(name)}))
    for image in range(len(labels)):
        pieces.add(logits[[image]], labels[[image]])
    same(torch.tensor(pieces.result()["loss"], dtype=torch.float64), total(name, logits, labels))


@pytest.mark.parametrize("name", sorted(LOSSES))
@holds
@given(data=st.data())
def test_value_and_gradient_are_finite_and_void_pulls_nowhere(name: str, data: st.DataObject) -> None:
    logits, labels, _ = data.draw(batches(name))
    leaf = logits.clone().requires_grad_()
    value = total(name, leaf, labels)
    (gradient,) = torch.autograd.grad(value, leaf)
    assert value.isfinite()
    assert gradient.isfinite().all()
    if name not in SEES_VOID:
        assert not gradient.movedim(1, -1)[labels == VOID].any()
        if (labels == VOID).all():
            assert value == 0


@pytest.mark.parametrize("name", sorted(TAKE_SOFT_TARGETS))
@holds
@given(data=st.data())
def test_labels_and_their_one_hot_form_are_the_same_target(name: str, data: st.DataObject) -> None:
    logits, labels, _ = data.draw(batches(name))
    same(total(name, logits, labels, soft=True), total(name, logits, labels))


@st.composite
def extremes(draw: st.DrawFn, name: str) -> tuple[Tensor, Tensor]:
    """Logits that are certain, in the precisions of a network, of 0 to 2 images."""
    images, channels = draw(st.integers(0, 2)), draw(st.sampled_from([1, 2] if name in TWO_CLASSES else [1, 2, 4]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    large = draw(st.sampled_from([1e4, -1e4, 16.0]))
    logits = torch.where(
        torch.rand(images, channels, 3, 4, generator=generator) < draw(st.sampled_from([0.5, 1.0])), large, -large
    )
    labels = torch.randint(max(2, channels), (images, 3, 4), generator=generator)
    return logits.to(draw(st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))), labels


@pytest.mark.parametrize("scope", ["global", "rank"])
@pytest.mark.parametrize("name", sorted(LOSSES))
@holds
@given(data=st.data())
def test_certainty_half_precision_and_no_image_are_finite(
    name: str, scope: Literal["global", "rank"], data: st.DataObject
) -> None:
    logits, labels = data.draw(extremes(name))
    leaf = logits.clone().requires_grad_()
    value = Mix({"main": Head({"loss": replace(term(name), scope=scope)})})({"main": leaf}, labels, step=0).total
    (gradient,) = torch.autograd.grad(value, leaf)
    assert value.isfinite()
    assert gradient.isfinite().all()
    if not len(labels):
        assert value == 0 or name in SEES_VOID


@pytest.mark.parametrize("sampler", [None, partial(ohem, min_kept=0.3), partial(top_k, ratio=0.3)])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_logits_that_are_not_a_number_are_never_hidden(name: str, sampler: partial[Tensor] | None) -> None:
    for channels in (1, 2):
        logits = torch.randn(2, channels, 3, 4, generator=torch.Generator().manual_seed(0))
        logits[0, 0, 0, 0] = torch.nan
        labels = torch.randint(2, (2, 3, 4), generator=torch.Generator().manual_seed(1))
        assert Mix({"main": Head({"loss": term(name)}, sampler)})({"main": logits}, labels, step=0).total.isnan()
