"""Auxiliary heads through the config: what is inherited, what is their own, and what their weight is."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from rayseg.build import check
from rayseg.losses import Dice, cross_entropy
from rayseg.mix import Mix
from rayseg.sampling import ohem, top_k
from tests.build.small import BASE, built

TWO_HEADS = {"model": {"type": "two_heads"}, "heads.auxiliary": {}}
OHEM = {"sampling": {"type": "ohem", "thresh": 0.1, "min_kept": 0.2}}


def mix_of(*overrides: dict[str, Any]) -> Mix:
    return built(TWO_HEADS, *overrides).fit.mix


def batch() -> tuple[dict[str, Tensor], Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 9, 8, 8, generator=generator, dtype=torch.float64)
    masks = torch.randint(9, (2, 8, 8), generator=generator)
    masks[0, :3] = 255
    return {"main": logits[0], "auxiliary": logits[1]}, masks


def function_of(call: Any) -> Any:
    assert isinstance(call, partial)
    return call.func, call.keywords


def test_an_empty_head_has_the_losses_and_the_sampler_of_the_main_one_at_weight_two_fifths() -> None:
    heads = mix_of(OHEM, {"losses.dice": {"type": "dice", "weight": 3.0}, "losses.ce.class_weight": {"car": 2.0}}).heads
    main, auxiliary = heads["main"], heads["auxiliary"]
    assert (main.weight, auxiliary.weight) == (1.0, 0.4)
    assert list(auxiliary.terms) == ["ce", "dice"]
    assert [term.weight for term in auxiliary.terms.values()] == [1.0, 3.0]
    ours, theirs = auxiliary.terms["ce"].class_weight, main.terms["ce"].class_weight
    assert ours is not None
    assert theirs is not None
    assert torch.equal(ours, theirs)
    assert (
        function_of(auxiliary.sampler)
        == function_of(main.sampler)
        == (
            ohem,
            {"thresh": 0.1, "min_kept": 0.2, "scope": "global"},
        )
    )


def test_the_total_is_the_main_head_and_two_fifths_of_the_auxiliary() -> None:
    mix = mix_of(OHEM, {"losses.dice": {"type": "dice", "weight": 3.0}})
    output, masks = batch()
    total, parts = mix(output, masks, step=0)
    main = parts["loss/ce"] + 3 * parts["loss/dice"]
    auxiliary = parts["loss/auxiliary.ce"] + 3 * parts["loss/auxiliary.dice"]
    torch.testing.assert_close(total, main + 0.4 * auxiliary)
    assert 0 < parts["ohem/kept"] < 1
    assert 0 < parts["ohem/auxiliary.kept"] < 1


def test_losses_of_its_own_replace_those_of_the_main_head() -> None:
    own = {"losses": {"dice": {"type": "dice", "weight": 2.0}, "smooth": {"type": "cross_entropy", "label_smoothing": 0.1}}}
    mix = mix_of({"heads.auxiliary": {"weight": 0.7, **own}})
    auxiliary = mix.heads["auxiliary"]
    assert isinstance(auxiliary.terms["dice"].loss, Dice)
    assert function_of(auxiliary.terms["smooth"].loss) == (cross_entropy, {"label_smoothing": 0.1})
    output, masks = batch()
    total, parts = mix(output, masks, step=0)
    assert set(parts) == {"loss", "loss/ce", "loss/auxiliary.dice", "loss/auxiliary.smooth"}
    expected = parts["loss/ce"] + 0.7 * (2 * parts["loss/auxiliary.dice"] + parts["loss/auxiliary.smooth"])
    torch.testing.assert_close(total, expected)


def test_a_sampler_of_its_own_and_none_on_the_main_head() -> None:
    heads = mix_of({"heads.auxiliary.sampling": {"type": "top_k", "ratio": 0.3, "by": "loss", "start": 1}}).heads
    assert heads["main"].sampler is None
    assert function_of(heads["auxiliary"].sampler) == (top_k, {"ratio": 0.3, "by": "loss", "scope": "global"})
    assert not heads["auxiliary"].samples_at(0)
    assert heads["auxiliary"].samples_at(1)


def test_a_head_may_refuse_the_sampler_that_it_would_inherit() -> None:
    mix = mix_of(OHEM, {"heads.auxiliary.sampling": {"type": "all_pixels"}})
    assert mix.heads["auxiliary"].sampler is None
    output, masks = batch()
    parts = mix(output, masks, step=0).parts
    assert "ohem/kept" in parts
    assert "ohem/auxiliary.kept" not in parts
    plain = mix_of()(output, masks, step=0).parts
    assert parts["loss/auxiliary.ce"] == plain["loss/auxiliary.ce"]


@pytest.mark.parametrize("own", [{}, {"sampling": {"type": "all_pixels"}}])
def test_a_head_whose_losses_know_no_pixel_weights_has_no_sampler(own: dict[str, Any]) -> None:
    """The main head may rank by a loss that such a head does not have."""
    losses = {"edge": {"type": "boundary"}, "order": {"type": "lovasz_hinge"}}
    edges = {"model.detail": True, "heads.detail": {"target": {"type": "boundaries"}, "losses": losses, **own}}
    by_loss = {"sampling": {"type": "ohem", "by": "loss"}}
    assert check(BASE.with_({**by_loss, **edges})) == []
    heads = built(by_loss, edges).fit.mix.heads
    assert heads["detail"].sampler is None
    assert heads["main"].sampler is not None


def test_without_a_sampler_on_any_head_denominators_depend_on_labels_only() -> None:
    assert mix_of({"sampling": {"type": "all_pixels"}}).label_only(0)
    assert not mix_of(OHEM).label_only(0)


@pytest.mark.parametrize("path", ["sampling", "heads.auxiliary.sampling"])
def test_a_schedule_is_inherited_or_a_heads_own(path: str) -> None:
    falling = {"type": "top_k", "schedule": {"ratio": {"from": 1.0, "to": 0.1, "end": {"epochs": 1}}}}
    mix = mix_of({path: falling, "train.steps": 20})
    output, masks = batch()
    parts = mix(output, masks, step=1).parts  # of two steps in an epoch of four images
    names = {"ohem/auxiliary.ratio"} | ({"ohem/ratio"} if path == "sampling" else set())
    assert {name for name in parts if name.endswith("ratio")} == names
    assert {float(parts[name]) for name in names} == {0.55}


def own_ratio(logits: Tensor, target: Tensor, *, ignore_index: int, ratio: float, min_kept: int) -> Tensor:
    """A user's, whose arguments mean something else than ours."""
    return (target != ignore_index) * ratio / min_kept


def test_what_arguments_of_a_users_sampler_mean_is_the_users_affair() -> None:
    own = {"own_ratio": own_ratio}
    written = {"type": "own_ratio", "ratio": 1.0, "schedule": {"min_kept": {"from": 99_999, "to": 1}}}
    assert check(BASE.with_({"sampling": written}), own) == []
    written = {"type": "own_ratio", "ratio": 1.0}
    assert [str(problem) for problem in check(BASE.with_({"sampling": written}), own)] == [
        "sampling.min_kept: is missing; 'own_ratio' needs it"
    ]
