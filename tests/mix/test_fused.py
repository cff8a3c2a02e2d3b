"""Heads that are computed without logits at full size, against those with them, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from rayseg.errors import ConfigError
from rayseg.kernels import Backend, Native, Strips, compiled_backend
from rayseg.losses import (
    Dice,
    DiceMmseg0x,
    DiceMmseg1x,
    FocalTversky,
    Jaccard,
    Lovasz,
    RegionSums,
    Tversky,
    binary_cross_entropy,
    cross_entropy,
    focal,
    one_hot,
)
from rayseg.mix import Head, Mix, Normalize, Term, ValidationLoss, fused, why_not_fused
from rayseg.sampling import ohem, ohem_mmseg, top_k
from tests.kernels.backends import BACKENDS

VOID = 255
C = 5
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.1, 3.0])


class OwnRegion:
    """A user's loss of the class sums."""

    per_image = True

    def from_sums(self, sums: RegionSums, class_weight: Tensor | None) -> Tensor:  # noqa: ARG002
        return (sums.prediction - sums.intersection).sum(-1) / (1 + sums.target.sum(-1))


PIXELWISE: Mapping[str, Callable[..., Any]] = {
    "ce": cross_entropy,
    "smooth": partial(cross_entropy, label_smoothing=0.2),
    "focal": partial(focal, gamma=1.5),
    "focal_alpha": partial(focal, alpha=(0.1, 0.2, 0.3, 0.2, 0.9)),
}
REGION: Mapping[str, Any] = {
    "dice": Dice(),
    "vnet": Dice(power=2, classes="all", per_image=True, divide_by="classes"),
    "jaccard": Jaccard(),
    "tversky": Tversky(per_image=True),
    "focal_tversky": FocalTversky(),
    "mmseg_0x": DiceMmseg0x(),
    "mmseg_0x_1": DiceMmseg0x(exponent=1.0),
    "mmseg_1x": DiceMmseg1x("softmax"),
    "mmseg_1x_naive": DiceMmseg1x("softmax", naive=True),
    "own": OwnRegion(),
}
SAMPLERS: Mapping[str, Callable[..., Tensor] | None] = {
    "none": None,
    "threshold": partial(ohem, thresh=0.7, min_kept=5),
    "counted": partial(ohem, thresh=0.05, min_kept=0.4),
    "by_loss": partial(ohem, thresh=None, min_kept=0.3, by="loss"),
    "mmseg": partial(ohem_mmseg, thresh=0.3, min_kept=90),
    "top_k": partial(top_k, ratio=0.2),
}


def batch(channels: int = C, size: tuple[int, int] = (23, 31)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    masks = torch.randint(0, max(2, channels), (2, *size), generator=generator)
    masks = masks.masked_fill(torch.rand(2, *size, generator=generator) < 0.15, VOID)
    return torch.randn(2, channels, 5, 6, generator=generator) * 2, masks


def value_and_gradient(mix: Mix, logits: Tensor, masks: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    leaf = logits.clone().requires_grad_()
    total, parts = mix({"main": leaf}, masks, step=0)
    (gradient,) = torch.autograd.grad(total, leaf)
    return parts, gradient


def assert_same(head: Head, backend: Backend, channels: int = C) -> None:
    logits, masks = batch(channels)
    expected, reference = value_and_gradient(Mix({"main": head}), logits.double(), masks)
    found, gradient = value_and_gradient(Mix({"main": fused(head, backend)}), logits, masks)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=3e-6, atol=3e-6, msg=name)
    assert (gradient - reference).norm() < 3e-6 * reference.norm()


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("normalize", ["weights", "kept", "valid", "all", "all_weights"])
def test_pixelwise_losses_are_those_of_logits_at_full_size(backend: Backend, sampler: str, normalize: Normalize) -> None:
    terms = {
        name: Term(loss, normalize=normalize, class_weight=weight)
        for (name, loss), weight in zip(PIXELWISE.items(), (None, WEIGHT, None, WEIGHT), strict=True)
    }
    assert_same(Head(terms, SAMPLERS[sampler]), backend)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize("normalize", ["weights", "kept", "valid", "all", "all_weights"])
@pytest.mark.parametrize("name", ["ce", "smooth"])
@pytest.mark.parametrize("class_weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_cross_entropy_alone_is_that_of_logits_at_full_size(
    backend: Backend, normalize: Normalize, name: str, class_weight: Tensor | None
) -> None:
    term = Term(PIXELWISE[name], 1.5, normalize=normalize, class_weight=class_weight, returns_map=True)
    assert_same(Head({"ce": term}, voids=(2,), weight=0.4), backend)
    assert_same(Head({"ce": replace(term, scope="rank")}), backend)


def test_only_cross_entropy_alone_and_only_for_a_gradient_takes_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = compiled_backend()
    if backend is None:
        pytest.skip("no C++ compiler")
    taken: list[str] = []

    def watched(name: str, own: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            taken.append(name)
            return own(*given)

        return call

    for name in ("forward", "cross_entropy"):
        monkeypatch.setattr(Native, name, watched(name, getattr(Native, name)))
    logits, masks = batch()

    def passes(head: Head, step: int = 0) -> str:
        taken.clear()
        Mix({"main": fused(head, backend)})({"main": logits.clone().requires_grad_()}, masks, step=step)
        return " ".join(taken)

    alone = Head({"ce": Term(PIXELWISE["smooth"], class_weight=WEIGHT)})
    later = replace(alone, sampler=SAMPLERS["counted"], sampler_start=5)
    assert passes(alone) == passes(later) == passes(later, step=4) == "cross_entropy"
    assert passes(later, step=5) == passes(replace(alone, terms={**alone.terms, "dice": Term(Dice())})) == "forward"
    assert passes(Head({"focal": Term(focal)})) == "forward"
    with torch.no_grad():
        assert passes(alone) == "forward"


def test_parts_of_a_step_share_its_denominator_also_in_one_pass() -> None:
    logits, masks = batch()
    masks[0, :9] = VOID
    head = Head({"ce": Term(PIXELWISE["smooth"], class_weight=WEIGHT, returns_map=True)})
    mix = Mix({"main": fused(head, compiled_backend() or Strips())})
    _, whole = value_and_gradient(mix, logits, masks)
    assert mix.label_only(0)
    normalisers = mix.label_normalisers([masks[:1], masks[1:]])
    leaf = logits.clone().requires_grad_()
    for one in (slice(0, 1), slice(1, 2)):
        torch.autograd.backward([mix({"main": leaf[one]}, masks[one], step=0, normalisers=normalisers).total])
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, whole)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize("name", REGION)
@pytest.mark.parametrize("class_weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_region_losses_are_those_of_logits_at_full_size(backend: Backend, name: str, class_weight: Tensor | None) -> None:
    assert_same(Head({"region": Term(REGION[name], class_weight=class_weight)}), backend)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_terms_together_share_their_statistics(backend: Backend) -> None:
    terms = {"ce": Term(PIXELWISE["smooth"]), "dice": Term(Dice(), 3.0), "old": Term(DiceMmseg1x("softmax"), 0.5)}
    assert_same(Head(terms, SAMPLERS["counted"], weight=0.4, voids=(2,)), backend)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_one_channel_is_two_classes(backend: Backend) -> None:
    terms = {"ce": Term(cross_entropy), "focal": Term(partial(focal, alpha=0.25)), "dice": Term(Dice())}
    assert_same(Head(terms, SAMPLERS["threshold"]), backend, channels=1)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_validation_is_that_of_logits_at_full_size(backend: Backend) -> None:
    logits, masks = batch()
    head = Head({"ce": Term(cross_entropy, class_weight=WEIGHT), "dice": Term(Dice())})
    precise, ours = ValidationLoss(head), ValidationLoss(fused(head, backend))
    precise.add(logits.double(), masks)
    ours.add(logits, masks)
    assert ours.result() == pytest.approx(precise.result(), rel=3e-6)


class Doubled(DiceMmseg0x):
    """Whose sums are of the logits, and not those of the class that it is made from."""

    def sums(self, logits: Tensor, target: Tensor, *, ignore_index: int, **_: Any) -> Any:
        return super().sums(2 * logits, target, ignore_index=ignore_index)


def test_what_looks_at_the_logits_is_not_fused() -> None:
    ce = Term(cross_entropy)

    def own_map(logits: Tensor, target: Tensor, *, nll: Tensor) -> Tensor:
        return nll + 0 * logits[:, 0] * target

    def own_sampler(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
        return (target != ignore_index) & (logits[:, 0] > 0)

    others: dict[str, Any] = {
        "lovasz": Lovasz(),
        "sigmoid": Dice(activation="sigmoid"),
        "power": DiceMmseg0x(exponent=1.5),
        "binary": binary_cross_entropy,
        "mine": own_map,
        "changed": Doubled(),
    }
    for name, loss in others.items():
        assert why_not_fused(Head({"ce": ce, name: Term(loss)})) == f"the loss {name!r} needs logits at full size"
    assert why_not_fused(Head({"soft": replace(ce, target=one_hot)})) == "the loss 'soft' needs logits at full size"
    own = Head({"ce": ce}, sampler=own_sampler)
    assert why_not_fused(own) == "its sampler needs logits at full size"
    with pytest.raises(ConfigError, match="its sampler needs logits at full size"):
        fused(own, Strips())


def test_logits_that_are_not_there_are_not_numbers() -> None:
    def squares(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
        return logits.square().sum(1) * (target != ignore_index)

    sneaky = fused(Head({"loss": Term(cross_entropy)}), Strips())
    looks = replace(sneaky, terms={"loss": Term(squares)})
    logits, masks = batch()
    assert Mix({"main": looks})({"main": logits}, masks, step=0).total.isnan()
