"""The mix against torch and against formulas written out: values, gradients, normalisers, heads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.losses import Dice, Tversky, cross_entropy
from rayseg.mix import Head, Mix, Term
from rayseg.mix.heads import Normalize
from rayseg.sampling import ohem

N, C, H, W = 3, 4, 6, 8
VOID = 255
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64)


def make_logits(seed: int = 0, size: tuple[int, int] = (H, W), dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(N, C, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def make_target(void: float = 0.3) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    target = torch.randint(C, (N, H, W), generator=generator)
    target[torch.rand(N, H, W, generator=generator) < void] = VOID
    return target


def value_and_gradient(function: Callable[[Tensor], Tensor], logits: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.clone().requires_grad_()
    value = function(leaf)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def of_mix(head: Head, target: Tensor, step: int = 0) -> Callable[[Tensor], Tensor]:
    return lambda logits: Mix({"main": head})({"main": logits}, target, step=step).total


def assert_same(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor], tolerance: float = 1e-12) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


def denominator_of(normalize: str, target: Tensor, weight: Tensor | None) -> Tensor:
    valid = target != VOID
    per_class = torch.ones(C, dtype=torch.float64) if weight is None else weight
    return {
        "weights": per_class[target[valid]].sum(),
        "kept": valid.sum(),
        "valid": valid.sum(),
        "all": torch.tensor(target.numel()),
        "all_weights": torch.tensor(target.numel()) if weight is None else per_class[target[valid]].sum(),
    }[normalize].double()


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("normalize", ["weights", "kept", "valid", "all", "all_weights"])
def test_cross_entropy_is_torchs_sum_over_its_normaliser(normalize: Normalize, weight: Tensor | None) -> None:
    target = make_target()
    term = Term(cross_entropy, normalize=normalize, class_weight=weight)

    def theirs(logits: Tensor) -> Tensor:
        summed = F.cross_entropy(logits, target, weight, ignore_index=VOID, reduction="sum")
        return summed / denominator_of(normalize, target, weight)

    assert_same(
        value_and_gradient(of_mix(Head({"ce": term}), target), make_logits()), value_and_gradient(theirs, make_logits())
    )


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_cross_entropy_by_default_is_torchs_mean(weight: Tensor | None) -> None:
    target = make_target()
    theirs = partial(F.cross_entropy, target=target, weight=weight, ignore_index=VOID)
    ours = of_mix(Head({"ce": Term(cross_entropy, class_weight=weight)}), target)
    assert_same(value_and_gradient(ours, make_logits()), value_and_gradient(theirs, make_logits()))


def dice_by_hand(logits: Tensor, target: Tensor, smooth: float) -> Tensor:
    valid = target != VOID
    probs = logits.softmax(1).movedim(1, -1)[valid]
    truth = F.one_hot(target[valid], C).double()
    overlap = (2 * (probs * truth).sum(0) + smooth) / (probs.sum(0) + truth.sum(0) + smooth)
    return (1 - overlap)[truth.sum(0) > 0].mean()


def test_dice_is_its_formula_over_the_whole_batch() -> None:
    target = make_target()
    target[target == 2] = 1  # class 2 never appears
    ours = of_mix(Head({"dice": Term(Dice(smooth=0.5), weight=3.0)}), target)

    def theirs(x: Tensor) -> Tensor:
        return 3 * dice_by_hand(x, target, 0.5)

    assert_same(value_and_gradient(ours, make_logits()), value_and_gradient(theirs, make_logits()))


def test_a_region_loss_per_image_is_the_mean_over_images() -> None:
    target = make_target()
    ours = of_mix(Head({"dice": Term(Dice(smooth=0.5, per_image=True))}), target)

    def theirs(x: Tensor) -> Tensor:
        return torch.stack([dice_by_hand(x[[i]], target[[i]], 0.5) for i in range(N)]).mean()

    assert_same(value_and_gradient(ours, make_logits()), value_and_gradient(theirs, make_logits()))


def ohem_by_hand(logits: Tensor, target: Tensor, thresh: float, min_kept: int, weight: Tensor) -> Tensor:
    """Sort all labelled pixels of the batch, keep those below thresh and the hardest min_kept per image."""
    valid = target != VOID
    nll = F.cross_entropy(logits, target, ignore_index=VOID, reduction="none")
    hardest = nll.detach()[valid].sort(descending=True).values
    least = hardest[min(len(hardest), min_kept * len(target)) - 1]
    kept = valid & ((torch.exp(-nll.detach()) < thresh) | (nll.detach() >= least))
    return (nll * weight[target.where(valid, 0)])[kept].sum() / weight[target[kept]].sum()


@pytest.mark.parametrize(("thresh", "min_kept"), [(0.7, 2), (0.05, 10), (0.3, 0)])
def test_ohem_with_class_weights_is_the_weighted_mean_over_the_pixels_that_a_sort_keeps(thresh: float, min_kept: int) -> None:
    target = make_target()
    sampler = partial(ohem, thresh=thresh, min_kept=min_kept)
    ours = of_mix(Head({"ce": Term(cross_entropy, class_weight=WEIGHT)}, sampler=sampler), target)
    theirs = partial(ohem_by_hand, target=target, thresh=thresh, min_kept=max(min_kept, 1), weight=WEIGHT)
    assert_same(value_and_gradient(ours, make_logits()), value_and_gradient(theirs, make_logits()))


def test_region_losses_do_not_see_ohem_and_the_share_that_it_keeps_is_told() -> None:
    target, logits = make_target(), make_logits()
    sampler = partial(ohem, thresh=None, min_kept=5)
    parts = Mix({"main": Head({"ce": Term(cross_entropy), "dice": Term(Dice())}, sampler=sampler)})(
        {"main": logits}, target, step=0
    ).parts
    torch.testing.assert_close(parts["loss/dice"], dice_by_hand(logits, target, 1.0))
    torch.testing.assert_close(parts["ohem/kept"], 15 / (target != VOID).sum().double())
    torch.testing.assert_close(parts["loss"], parts["loss/ce"] + parts["loss/dice"])


def test_a_sampler_that_starts_later_is_not_used_before() -> None:
    target, logits = make_target(), make_logits()
    head = Head({"ce": Term(cross_entropy)}, sampler=partial(ohem, thresh=None, min_kept=2), sampler_start=3)
    plain = Head({"ce": Term(cross_entropy)})
    assert of_mix(head, target, step=2)(logits) == of_mix(plain, target)(logits)
    assert of_mix(head, target, step=3)(logits) != of_mix(plain, target)(logits)


def test_an_auxiliary_head_counts_with_its_weight_and_its_own_ignore_index() -> None:
    target = make_target()
    own = target.where(target != VOID, torch.tensor(9))
    heads = {
        "main": Head({"ce": Term(cross_entropy)}),
        "auxiliary": Head(
            {"ce": Term(cross_entropy, weight=2.0)},
            weight=0.4,
            ignore_index=9,
            target=lambda masks, *, ignore_index: masks.where(masks != VOID, torch.tensor(ignore_index)),
        ),
    }
    small = make_logits(1, (H // 2, W // 2))
    total, parts = Mix(heads)({"main": make_logits(), "auxiliary": small}, target, step=0)
    main = F.cross_entropy(make_logits(), target, ignore_index=VOID)
    auxiliary = F.cross_entropy(F.interpolate(small, (H, W), mode="bilinear", align_corners=False), own, ignore_index=9)
    torch.testing.assert_close(total, main + 0.4 * 2.0 * auxiliary)
    torch.testing.assert_close(parts["loss/auxiliary.ce"], auxiliary)
    assert set(parts) == {"loss", "loss/ce", "loss/auxiliary.ce"}


def test_what_the_masks_call_void_is_ignored_by_a_head_with_a_label_of_its_own() -> None:
    target = make_target()
    head = Head({"ce": Term(cross_entropy)}, ignore_index=2, voids=(VOID,))
    expected = F.cross_entropy(make_logits(), target.masked_fill(target == VOID, 2), ignore_index=2)
    mix = Mix({"main": head})
    torch.testing.assert_close(mix({"main": make_logits()}, target, step=0).total, expected)
    assert mix.label_normalisers([target])["loss/ce"] == ((target != VOID) & (target != 2)).sum()


def test_classes_that_are_ignored_have_no_loss_and_no_gradient_in_any_term() -> None:
    target, logits = make_target(), make_logits().requires_grad_()
    ignored = (target == 0) | (target == VOID)
    terms = {"ce": Term(cross_entropy, normalize="valid"), "dice": Term(Dice())}
    total = Mix({"main": Head(terms, partial(ohem, min_kept=3), voids=(0,))})({"main": logits}, target, step=0).total
    torch.autograd.backward(total)
    expected = Mix({"main": Head(terms, partial(ohem, min_kept=3))})
    torch.testing.assert_close(total, expected({"main": logits}, target.masked_fill(ignored, VOID), step=0).total)
    assert logits.grad is not None
    assert not logits.grad.movedim(1, -1)[ignored].any()
    assert logits.grad.movedim(1, -1)[~ignored].any()


def test_logits_of_low_resolution_are_interpolated_to_the_mask() -> None:
    target, small = make_target(), make_logits(size=(3, 5))
    head = Head({"ce": Term(cross_entropy, class_weight=WEIGHT), "dice": Term(Dice())}, sampler=partial(ohem, min_kept=3))

    def upsampled(x: Tensor) -> Tensor:
        return of_mix(head, target)(F.interpolate(x, (H, W), mode="bilinear", align_corners=False))

    assert_same(value_and_gradient(of_mix(head, target), small), value_and_gradient(upsampled, small))


EVERYTHING = Head(
    {"ce": Term(cross_entropy, class_weight=WEIGHT), "dice": Term(Dice()), "tversky": Term(Tversky(per_image=True))},
    sampler=partial(ohem, min_kept=3),
)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_batch_of_only_void_has_a_finite_loss_and_gradient(dtype: torch.dtype) -> None:
    value, gradient = value_and_gradient(of_mix(EVERYTHING, torch.full((N, H, W), VOID)), make_logits(dtype=dtype))
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()
    assert not gradient.any()


@pytest.mark.parametrize("sampler", [None, partial(ohem, min_kept=3), partial(ohem, thresh=None, min_kept=3)])
def test_logits_of_nan_are_never_a_finite_loss(sampler: Callable[..., Tensor] | None) -> None:
    head = Head({"ce": Term(cross_entropy)}, sampler=sampler)
    assert of_mix(head, make_target())(torch.full((N, C, H, W), float("nan"))).isnan()


def test_logits_in_bfloat16_are_computed_in_float32() -> None:
    logits, target = make_logits(dtype=torch.bfloat16), make_target()
    value, gradient = value_and_gradient(of_mix(EVERYTHING, target), logits)
    exact, exact_gradient = value_and_gradient(of_mix(EVERYTHING, target), logits.float())
    assert value.dtype == torch.float32
    assert value == exact
    assert torch.equal(gradient, exact_gradient.bfloat16())


def test_parts_carry_no_graph_and_the_total_does() -> None:
    total, parts = Mix({"main": EVERYTHING})({"main": make_logits().requires_grad_()}, make_target(), step=0)
    assert total.requires_grad
    assert not any(value.requires_grad for value in parts.values())


def test_heads_that_do_not_fit_the_model_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"returned heads \['auxiliary', 'main'\], the mix has \['main'\]"):
        Mix({"main": EVERYTHING})({"main": make_logits(), "auxiliary": make_logits()}, make_target(), step=0)


def test_logits_that_do_not_fit_the_masks_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"logits \(2, 4, 6, 8\) do not fit masks \(3, 6, 8\)"):
        Mix({"main": EVERYTHING})({"main": make_logits()[:2]}, make_target(), step=0)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("normalize", ["weights", "kept", "valid", "all", "all_weights"])
def test_micro_batches_with_the_normalisers_of_the_step_add_up_to_the_batch(
    normalize: Normalize, weight: Tensor | None
) -> None:
    mix = Mix({"main": Head({"ce": Term(cross_entropy, normalize=normalize, class_weight=weight, returns_map=True)})})
    target, logits = make_target(), make_logits()
    assert mix.label_only(0)
    normalisers = mix.label_normalisers([target[:1], target[1:]])
    pieces = [
        mix({"main": logits[part]}, target[part], step=0, normalisers=normalisers).total for part in (slice(1), slice(1, N))
    ]
    torch.testing.assert_close(sum(pieces), mix({"main": logits}, target, step=0).total)


def test_only_maps_without_an_active_sampler_have_normalisers_that_depend_on_labels_alone() -> None:
    a_map = Term(cross_entropy, returns_map=True)
    sampler = partial(ohem, min_kept=3)
    assert Mix({"main": Head({"ce": a_map}, sampler=sampler, sampler_start=5)}).label_only(4)
    assert not Mix({"main": Head({"ce": a_map}, sampler=sampler, sampler_start=5)}).label_only(5)
    assert not Mix({"main": Head({"ce": a_map, "dice": Term(Dice())})}).label_only(0)
    assert not Mix({"main": Head({"ce": Term(cross_entropy, scope="rank", returns_map=True)})}).label_only(0)
