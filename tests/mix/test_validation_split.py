"""The validation loss is a function of the split: not of the size of batches, nor of who holds which image."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.losses import LOSSES, Dice, Jaccard, Tversky, cross_entropy
from rayseg.mix import Head, Mix, Term, ValidationLoss
from rayseg.mix.heads import Scope
from rayseg.sampling import ohem

NUM_IMAGES, NUM_CLASSES, VOID = 7, 4, 255
CLASS_WEIGHT = torch.tensor([0.4, 1.0, 3.0, 1.7], dtype=torch.float64)


def split() -> tuple[Tensor, Tensor]:
    """Logits at half size and masks in float64; an image of only void, others partly."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(NUM_IMAGES, NUM_CLASSES, 4, 5, generator=generator, dtype=torch.float64)
    masks = torch.randint(NUM_CLASSES, (NUM_IMAGES, 8, 10), generator=generator)
    kept = torch.rand(masks.shape, generator=generator) > torch.linspace(0, 1, NUM_IMAGES)[:, None, None] ** 2
    return logits, masks.where(kept, VOID)


LOGITS, MASKS = split()
FULL = F.interpolate(LOGITS, size=MASKS.shape[-2:], mode="bilinear", align_corners=False)


def scalar(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    return (logits.square().mean(1) * (target != ignore_index)).mean().sqrt()


def pair(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return logits[:, 0].square().sum(), logits.new_tensor(float(len(target)))


def own_map(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    return logits.square().mean(1) * (target != ignore_index)


TERMS: Mapping[str, Term] = {
    "ce": Term(cross_entropy, class_weight=CLASS_WEIGHT, returns_map=True),
    "smooth": Term(partial(cross_entropy, label_smoothing=0.1), normalize="all", returns_map=True, weight=0.5),
    "valid": Term(cross_entropy, normalize="valid", class_weight=CLASS_WEIGHT, returns_map=True),
    "ce of ranks": Term(cross_entropy, class_weight=CLASS_WEIGHT, returns_map=True, scope="rank"),
    "dice": Term(Dice(), class_weight=CLASS_WEIGHT),
    "dice of ranks": Term(Dice(), class_weight=CLASS_WEIGHT, scope="rank"),
    "tversky of images": Term(Tversky(per_image=True)),
    "jaccard": Term(Jaccard(classes="all")),
    "pair": Term(pair, weight=2.0),
    "map": Term(own_map),
    "map of ranks": Term(own_map, scope="rank"),
    "scalar": Term(scalar, scope="rank"),
}


def over(sizes: list[int], terms: Mapping[str, Term] = TERMS, channels: int = NUM_CLASSES) -> dict[str, float]:
    loss = ValidationLoss(Head(terms, partial(ohem, thresh=0.25, min_kept=3)))
    masks = MASKS.where((channels > MASKS) | (MASKS == VOID), 0)
    for logits, labels in zip(torch.split(LOGITS[:, :channels], sizes), torch.split(masks, sizes), strict=True):
        loss.add(logits, labels)
    return loss.result()


WHOLE = over([NUM_IMAGES])


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(1, NUM_IMAGES - 1)))
def test_batches_of_any_sizes_give_the_same(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), NUM_IMAGES]
    found = over([stop - start for start, stop in pairwise(edges)])
    assert found == pytest.approx(WHOLE, rel=1e-10)


def test_each_kind_of_term_is_what_brute_force_over_the_split_gives() -> None:
    mix = Mix({"main": Head({name: term for name, term in TERMS.items() if term.scope == "global"})})
    at_once = mix({"main": LOGITS}, MASKS, step=0).parts
    assert {name: WHOLE[name] for name in at_once if name != "loss"} == pytest.approx(
        {name: float(value) for name, value in at_once.items() if name != "loss"}, rel=1e-10
    )
    expected = F.cross_entropy(FULL, MASKS, CLASS_WEIGHT, ignore_index=VOID)
    assert WHOLE["loss/ce"] == WHOLE["loss/ce of ranks"] == pytest.approx(float(expected), rel=1e-10)
    assert WHOLE["loss/dice of ranks"] == WHOLE["loss/dice"]
    images = [scalar(FULL[i : i + 1], MASKS[i : i + 1], ignore_index=VOID) for i in range(NUM_IMAGES)]
    assert WHOLE["loss/scalar"] == pytest.approx(float(torch.stack(images).mean()), rel=1e-10)
    assert WHOLE["loss"] == pytest.approx(sum(term.weight * WHOLE[f"loss/{name}"] for name, term in TERMS.items()))


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("scope", ["global", "rank"])
def test_every_built_in_loss_is_a_function_of_the_split(name: str, scope: Scope) -> None:
    made = LOSSES[name]
    loss = made() if isinstance(made, type) else made
    terms = {name: Term(loss, scope=scope, returns_map=loss is made)}
    channels = 2 if name in {"boundary", "lovasz_hinge"} else NUM_CLASSES
    whole = over([NUM_IMAGES], terms, channels)
    assert whole["loss"] != 0
    assert over([1, 3, 2, 1], terms, channels) == pytest.approx(whole, rel=1e-9)
