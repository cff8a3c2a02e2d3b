"""What holds for every sampler: equal to a sort, blind to the order of pixels and to void, the same on every worker."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.collective import rank, world_size
from rayseg.errors import ConfigError
from rayseg.sampling import SAMPLERS, all_pixels, ohem, ohem_mmseg, top_k
from rayseg.testing import run_distributed
from tests.sampling.examples import random_example, tied_example

CLASS_WEIGHT = torch.tensor([0.5, 3.0, 1.0, 0.0, 2.0])
Sampler = Callable[..., Tensor]
EVERY: dict[str, Sampler] = {
    "ohem": partial(ohem, thresh=0.2, min_kept=7),
    "ohem, hardest": partial(ohem, thresh=None, min_kept=0.3),
    "ohem, by loss": partial(ohem, thresh=0.2, min_kept=7, by="loss"),
    "top_k": partial(top_k, ratio=0.37),
    "top_k, by loss": partial(top_k, ratio=0.37, by="loss"),
    "mmseg": partial(ohem_mmseg, thresh=0.2, min_kept=7),
    "mmseg, batch": partial(ohem_mmseg, thresh=0.01, min_kept=7, per="batch"),
    "mmseg, beyond": partial(ohem_mmseg, thresh=0.2, min_kept=500),
    "mmseg, by loss": partial(ohem_mmseg, thresh=None, min_kept=7),
    "all": all_pixels,
}
every_sampler = pytest.mark.parametrize("sampler", EVERY.values(), ids=list(EVERY))


def losses(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy, without and with class weights; 0 where ignored."""
    nll = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
    return nll, nll * CLASS_WEIGHT.to(nll)[target.where(target != 255, 0)]


def weigh(sampler: Sampler, nll: Tensor, loss: Tensor, target: Tensor, *, scope: str = "global") -> Tensor:
    logits = torch.full((len(target), 5, *target.shape[1:]), torch.nan, dtype=nll.dtype)
    more = {"scope": scope} if scope != "global" and sampler is not all_pixels else {}
    offered: dict[str, Any] = {} if sampler is all_pixels else {"nll": nll, "pixel_loss": lambda: loss, **more}
    weights: Tensor = sampler(logits, target, ignore_index=255, **offered)
    return weights


def by_sorting(name: str, nll: Tensor, loss: Tensor, target: Tensor) -> Tensor:
    """The definitions, with a sort of all labelled pixels."""
    valid = target != 255
    if name == "all" or not valid.any():
        return valid
    own: dict[str, Any] = EVERY[name].keywords  # type: ignore[attr-defined]
    images, labelled, (height, width) = len(target), int(valid.sum()), target.shape[1:]
    ranked = loss if "by loss" in name else nll
    if name.startswith("mmseg") and own["thresh"] is not None:
        count = own["min_kept"] * (1 if own.get("per") == "batch" else images)
        probability = nll.neg().exp()
        least = probability[valid].sort().values[min(count, labelled - 1)]
        return valid & (probability < least.clamp(min=own["thresh"]))
    if name.startswith("top_k"):
        count = max(1, round(own["ratio"] * labelled))
    else:
        per_image = own["min_kept"]
        count = images * (per_image if isinstance(per_image, int) else math.ceil(per_image * height * width))
    hardest = ranked[valid].sort(descending=True).values
    keep = ranked >= hardest[min(count, labelled) - 1]
    if own.get("thresh") is not None:
        keep = keep | (nll > -math.log(own["thresh"]))
    return valid & keep


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), tied=st.booleans(), images=st.integers(1, 4), void=st.booleans())
@pytest.mark.parametrize("name", list(EVERY))
def test_equals_a_sort_also_where_pixels_tie(name: str, seed: int, tied: bool, images: int, void: bool) -> None:
    logits, target = tied_example(seed, images) if tied else random_example(seed, images)
    if void:
        target[-1] = 255
    nll, loss = losses(logits.double(), target)
    weights = weigh(EVERY[name], nll, loss, target)
    assert weights.dtype == torch.float64
    assert torch.equal(weights.bool(), by_sorting(name, nll, loss, target))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), tied=st.booleans())
@every_sampler
def test_shuffling_the_pixels_of_the_batch_shuffles_the_weights(sampler: Sampler, seed: int, tied: bool) -> None:
    logits, target = tied_example(seed) if tied else random_example(seed)
    nll, loss = losses(logits, target)
    order = torch.randperm(target.numel(), generator=torch.Generator().manual_seed(seed))
    shuffled = weigh(sampler, *(values.flatten()[order].view_as(target) for values in (nll, loss, target)))
    assert torch.equal(shuffled.flatten(), weigh(sampler, nll, loss, target).flatten()[order])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 4))
@pytest.mark.parametrize("name", [name for name in EVERY if name != "ohem, hardest"])
def test_padding_with_void_changes_nothing(name: str, seed: int, rows: int) -> None:
    """A count of pixels, or a share of the labelled ones; a share of the crop grows with the crop, as it says."""
    logits, target = random_example(seed)
    nll, loss = losses(logits, target)
    padded = [F.pad(nll, (0, 0, 0, rows)), F.pad(loss, (0, 0, 0, rows), value=9.0), F.pad(target, (0, 0, 0, rows), value=255)]
    weights = weigh(EVERY[name], *padded)
    assert torch.equal(weights[:, :6], weigh(EVERY[name], nll, loss, target))
    assert not weights[:, 6:].any()


@every_sampler
@pytest.mark.parametrize("images", [0, 2])
def test_nothing_labelled_keeps_nothing(sampler: Sampler, images: int) -> None:
    nothing = torch.zeros(images, 6, 7)
    assert not weigh(sampler, nothing, nothing, torch.full((images, 6, 7), 255)).any()


@pytest.mark.parametrize(
    ("sampler", "arguments", "path"),
    [
        (top_k, {"ratio": 0.0}, "ratio"),
        (top_k, {"ratio": 1.1}, "ratio"),
        (top_k, {"by": "loss"}, "by"),
        (ohem_mmseg, {"min_kept": 0}, "min_kept"),
        (ohem_mmseg, {"thresh": 7.0}, "thresh"),
        (ohem_mmseg, {"thresh": None}, "thresh"),
    ],
)
def test_senseless_arguments_are_refused(sampler: Sampler, arguments: dict[str, float], path: str) -> None:
    logits, target = random_example(6)
    with pytest.raises(ConfigError) as caught:
        sampler(logits, target, ignore_index=255, **arguments)
    assert [problem.path for problem in caught.value.problems] == [path]


def test_samplers_are_found_by_their_config_names() -> None:
    assert dict(SAMPLERS) == {"all_pixels": all_pixels, "ohem": ohem, "ohem_mmseg": ohem_mmseg, "top_k": top_k}


def test_the_share_of_top_k_is_of_the_labelled_pixels() -> None:
    target = torch.tensor([[[0, 0, 0, 0, 255, 255, 255, 255]]])
    nll = torch.arange(8.0).view(1, 1, 8)
    kept = [int(weigh(partial(top_k, ratio=ratio), nll, nll, target).sum()) for ratio in (0.01, 0.3, 0.5, 0.7, 1.0)]
    assert kept == [1, 1, 2, 3, 4]


# Uneven shares: 4 images over 3 workers; worker 1 has only void, worker 2 has no image at all.
SHARES = {2: [slice(0, 3), slice(3, 4)], 3: [slice(0, 3), slice(3, 4), slice(4, 4)]}


def joined_batch() -> tuple[Tensor, Tensor, Tensor]:
    logits, target = tied_example(7, images=4)
    target[3] = 255
    return (*losses(logits, target), target)


def worker() -> dict[tuple[str, str], Tensor]:
    share = [values[SHARES[world_size()][rank()]] for values in joined_batch()]
    return {(name, scope): weigh(EVERY[name], *share, scope=scope) for name in EVERY for scope in ("global", "rank")}


@pytest.mark.dist
@pytest.mark.parametrize("num_workers", [2, 3])
def test_workers_keep_what_one_process_keeps_of_the_joined_batch(num_workers: int) -> None:
    shares = run_distributed(worker, num_workers)
    for name, scope in shares[0]:
        parts = [slice(0, 4)] if scope == "global" else SHARES[num_workers]
        expected = [weigh(EVERY[name], *(values[part] for values in joined_batch())) for part in parts]
        assert torch.equal(torch.cat([share[name, scope] for share in shares]), torch.cat(expected)), (name, scope)
