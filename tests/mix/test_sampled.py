"""Samplers in the mix: MMSegmentation's numbers, what ranks pixels, and arguments that change over the run."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.errors import ConfigError, ShapeError
from rayseg.losses import LOSSES, PIXEL_LOSSES, Dice, cross_entropy
from rayseg.mix import Head, Mix, MixResult, Term
from rayseg.mix.heads import Normalize
from rayseg.sampling import Ramp, ohem, ohem_mmseg, top_k
from tests.sampling.examples import random_example, shared_example

CLASS_WEIGHT = torch.tensor([0.5, 1.0, 2.0, 4.0, 0.1], dtype=torch.float64)


def mixed(head: Head, logits: Tensor, target: Tensor, step: int = 0) -> MixResult:
    return Mix({"main": head})({"main": logits}, target, step=step)


#: thresh, min_kept; kept, loss over all pixels, loss over labelled pixels (avg_non_ignore). The original code was run; it adds
#: 1.2e-7 to the denominator.
OHEM_PIXEL_SAMPLER = [
    (0.7, 4, 25, 2.10127381, 2.42454670),
    (0.2, 4, 16, 1.78075127, 2.05471301),
    (0.2, 2, 16, 1.78075127, 2.05471301),
    (0.2, 100, 25, 2.10127381, 2.42454670),
    (None, 4, 8, 1.04838559, 1.20967568),
]


@pytest.mark.parametrize(("thresh", "min_kept", "kept", "over_all", "over_valid"), OHEM_PIXEL_SAMPLER)
def test_ohem_pixel_sampler(thresh: float | None, min_kept: int, kept: int, over_all: float, over_valid: float) -> None:
    logits, target = shared_example()
    sampler = partial(ohem_mmseg, thresh=thresh, min_kept=min_kept)
    values: dict[Normalize, float] = {"all": over_all, "valid": over_valid}
    for normalize, expected in values.items():
        parts = mixed(Head({"ce": Term(cross_entropy, normalize=normalize)}, sampler), logits, target).parts
        assert float(parts["loss"]) == pytest.approx(expected, rel=1e-8)
        assert float(parts["ohem/kept"]) == pytest.approx(kept / 26)


@pytest.mark.parametrize(("thresh", "expected"), [(0.7, 2.52152872), (0.2, 3.33890843)])
def test_ohem_cross_entropy(thresh: float, expected: float) -> None:
    logits, target = shared_example()
    sampler = partial(ohem_mmseg, thresh=thresh, min_kept=4, per="batch")
    loss = mixed(Head({"ce": Term(cross_entropy, normalize="kept")}, sampler), logits, target).total
    assert float(loss) == pytest.approx(expected, rel=1e-7)


def test_ohem_cross_entropy_that_keeps_nothing_is_zero() -> None:
    logits = torch.tensor([[[[9.0]], [[0.0]]]], requires_grad=True)
    sampler = partial(ohem_mmseg, thresh=0.7, min_kept=4, per="batch")
    head = Head({"ce": Term(cross_entropy, normalize="kept")}, sampler)
    total, parts = mixed(head, logits, torch.zeros(1, 1, 1, dtype=torch.long))
    total.backward()  # type: ignore[no-untyped-call]
    assert parts["ohem/kept"] == 0
    assert total == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def weighted(logits: Tensor, target: Tensor) -> Tensor:
    """What ranks pixels in a mix of cross-entropy with class weights, smoothed cross-entropy and Dice."""
    valid = target != 255
    ce = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
    smooth = F.cross_entropy(logits, target, ignore_index=255, reduction="none", label_smoothing=0.3)
    return (0.7 * CLASS_WEIGHT[target.where(valid, 0)] * ce + 2 * smooth) * valid


@pytest.mark.parametrize(
    "sampler",
    [partial(ohem, thresh=None, min_kept=5, by="loss"), partial(top_k, ratio=0.2, by="loss"), partial(ohem_mmseg, min_kept=5)],
)
def test_by_loss_the_weighted_sum_of_the_terms_per_pixel_ranks(sampler: partial[Tensor]) -> None:
    logits, target = random_example(0, dtype=torch.float64)
    terms = {
        "ce": Term(cross_entropy, weight=0.7, class_weight=CLASS_WEIGHT),
        "smooth": Term(partial(cross_entropy, label_smoothing=0.3), weight=2.0, normalize="valid"),
        "dice": Term(Dice(), weight=9.0),
    }
    ranked = weighted(logits, target)
    kept = sampler(logits, target, ignore_index=255, pixel_loss=ranked)
    leaf = logits.clone().requires_grad_()
    total, parts = mixed(Head(terms, sampler), leaf, target)
    per_pixel = CLASS_WEIGHT[target.where(target != 255, 0)] * kept
    ce = F.cross_entropy(leaf, target, ignore_index=255, reduction="none")
    smooth = F.cross_entropy(leaf, target, ignore_index=255, reduction="none", label_smoothing=0.3)
    valid = (target != 255).sum()
    expected = 0.7 * (per_pixel * ce).sum() / per_pixel.sum() + 2 * (kept * smooth).sum() / valid + 9 * parts["loss/dice"]
    torch.testing.assert_close(total, expected)
    by_nll = top_k(logits, target, ignore_index=255, ratio=0.2)
    assert not torch.equal(kept, by_nll)


def test_the_ranking_has_no_gradient_and_leaves_the_terms_alone() -> None:
    logits, target = random_example(1, dtype=torch.float64)
    terms = {"ce": Term(cross_entropy)}
    by_loss, by_nll = (
        mixed(Head(terms, partial(ohem, thresh=None, min_kept=9, by=by)), logits.requires_grad_(), target)
        for by in ("loss", "nll")
    )
    assert by_loss.total == by_nll.total  # one term without class weights: the same ranking
    ours, theirs = (torch.autograd.grad(each.total, logits)[0] for each in (by_loss, by_nll))
    assert torch.equal(ours, theirs)


def test_a_mix_without_a_term_per_pixel_cannot_rank_by_loss() -> None:
    logits, target = random_example(1)

    def sums(logits: Tensor, target: Tensor, *, pixel_weight: Tensor) -> tuple[Tensor, Tensor]:
        return logits.square().mean(1).mul(pixel_weight).sum(), pixel_weight.sum()

    with pytest.raises(ConfigError, match="by: loss ranks pixels by what they add to the loss, and no loss term tells that"):
        mixed(Head({"own": Term(sums), "dice": Term(Dice())}, partial(top_k, by="loss")), logits, target)


def test_an_argument_that_changes_over_the_run_is_told_and_used() -> None:
    logits, target = random_example(2, dtype=torch.float64)
    ramp = Ramp(1.0, 0.1, begin=2, end=12)
    head = Head({"ce": Term(cross_entropy)}, partial(top_k, by="nll"), sampler_start=1, sampler_schedule={"ratio": ramp})
    assert "ohem/ratio" not in mixed(head, logits, target, step=0).parts
    for step, ratio in ((1, 1.0), (2, 1.0), (7, 0.55), (12, 0.1), (99, 0.1)):
        constant = Head({"ce": Term(cross_entropy)}, partial(top_k, ratio=ratio))
        total, parts = mixed(head, logits, target, step=step)
        assert float(parts["ohem/ratio"]) == pytest.approx(ratio)
        assert total == mixed(constant, logits, target).total
    assert Mix({"main": head}).label_only(0) is False  # not known to return one value per pixel


def test_a_scheduled_sampler_of_another_head_has_names_of_its_own() -> None:
    logits, target = random_example(3)
    auxiliary = Head(
        {"ce": Term(cross_entropy)}, ohem, sampler_schedule={"min_kept": Ramp(30, 10, begin=0, end=4, shape="exp")}
    )
    heads = {"main": Head({"ce": Term(cross_entropy)}), "auxiliary": auxiliary}
    parts = Mix(heads)({"main": logits, "auxiliary": logits}, target, step=2).parts
    assert parts["ohem/auxiliary.min_kept"] == round((30 * 10) ** 0.5)
    assert set(parts) == {"loss", "loss/ce", "loss/auxiliary.ce", "ohem/auxiliary.kept", "ohem/auxiliary.min_kept"}


SAMPLERS: dict[str, partial[Tensor]] = {
    "ohem": partial(ohem, thresh=None, min_kept=1.0),
    "by loss": partial(ohem, thresh=None, min_kept=1.0, by="loss"),
    "top_k": partial(top_k, ratio=1.0),
    "hardest": partial(top_k, ratio=0.2),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_beside_any_loss_a_sampler_changes_per_pixel_terms_and_nothing_else(name: str, sampler: str) -> None:
    """Keeping every pixel changes no bit; keeping few changes no loss of sums."""
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(2, 1 if name in {"boundary", "lovasz_hinge"} else 3, 4, 5, generator=generator, dtype=torch.float64)
    target = torch.randint(2, (2, 4, 5), generator=generator)
    target[0, :2] = 255
    loss = LOSSES[name]() if isinstance(LOSSES[name], type) else LOSSES[name]
    terms = {"ce": Term(cross_entropy, weight=0.5), "own": Term(loss, weight=2.0)}
    plain, chosen = (mixed(Head(terms, how), logits, target) for how in (None, SAMPLERS[sampler]))
    assert (chosen.parts["loss/own"] == plain.parts["loss/own"]) == (sampler != "hardest" or name not in PIXEL_LOSSES)
    assert (chosen.parts["loss/ce"] == plain.parts["loss/ce"]) == (sampler != "hardest")
    if sampler != "hardest":
        assert chosen.parts["ohem/kept"] == 1
        gradients = [
            torch.autograd.grad(mixed(Head(terms, how), leaf := logits.clone().requires_grad_(), target).total, leaf)[0]
            for how in (None, SAMPLERS[sampler])
        ]
        assert torch.equal(*gradients)


def test_a_sampler_whose_weights_are_not_one_for_each_pixel_is_told() -> None:
    head = Head({"ce": Term(cross_entropy)}, sampler=lambda _logits, target, **_: torch.ones_like(target)[:, None])
    with pytest.raises(ShapeError, match=r"sampler returned weights \(2, 1, 3, 4\); expected \(2, 3, 4\)"):
        Mix({"main": head})({"main": torch.randn(2, 5, 3, 4)}, torch.zeros(2, 3, 4, dtype=torch.int64), step=0)
