"""OHEM: exact against a sort, the same on every worker, safe on void."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.errors import ConfigError, ShapeError
from rayseg.sampling import SAMPLERS, ohem


def shared_example() -> tuple[Tensor, Tensor]:
    """The logits and labels on which the original code was run: (2, 4, 3, 5), 26 of 30 pixels labelled."""
    N, C, H, W = 2, 4, 3, 5
    logits = 2 * torch.sin(0.7 * torch.arange(N * C * H * W, dtype=torch.float64)).view(N, C, H, W)
    n, h, w = torch.meshgrid(torch.arange(N), torch.arange(H), torch.arange(W), indexing="ij")
    target = (7 * n + 3 * h + 2 * w) % 4
    target[:, 0, 0:2] = 255
    return logits, target


def random_example(seed: int, images: int = 3, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, 5, 6, 7, generator=generator).to(dtype)
    target = torch.randint(0, 5, (images, 6, 7), generator=generator)
    return logits, target.masked_fill(torch.rand(target.shape, generator=generator) < 0.3, 255)


def by_sorting(logits: Tensor, target: Tensor, thresh: float | None, count: int) -> Tensor:
    """The definition, with a sort: below ``thresh``, or among the ``count`` hardest of the batch with ties."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    nll = F.cross_entropy(wide, target, ignore_index=255, reduction="none")
    valid = target != 255
    hardest = nll[valid].sort(descending=True).values[:count]
    kept = (nll >= hardest[-1]) if len(hardest) else torch.zeros_like(valid)
    if thresh is not None:
        kept = kept | (nll > -math.log(thresh))
    return (kept & valid).to(logits.dtype)


@pytest.mark.parametrize(("thresh", "min_kept", "kept"), [(0.7, 4, 25), (0.2, 4, 16), (0.2, 2, 16), (None, 4, 8)])
def test_keeps_as_many_as_mmsegmentation(thresh: float | None, min_kept: int, kept: int) -> None:
    logits, target = shared_example()
    weights = ohem(logits, target, ignore_index=255, thresh=thresh, min_kept=min_kept)
    assert weights.sum() == kept
    assert torch.equal(weights, by_sorting(logits, target, thresh, 2 * min_kept))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("thresh", [None, 0.05, 0.7, 1.0])
@pytest.mark.parametrize("min_kept", [1, 13, 41, 0.001, 0.5, 0.99])
def test_equals_a_sort(dtype: torch.dtype, thresh: float | None, min_kept: float) -> None:
    logits, target = random_example(0, dtype=dtype)
    weights = ohem(logits, target, ignore_index=255, thresh=thresh, min_kept=min_kept)
    count = min_kept if isinstance(min_kept, int) else math.ceil(min_kept * 42)
    assert weights.dtype == dtype
    assert torch.equal(weights, by_sorting(logits, target, thresh, 3 * count))


def test_all_labelled_pixels_are_kept_when_there_are_too_few() -> None:
    logits, target = shared_example()
    weights = ohem(logits, target, ignore_index=255, thresh=0.2, min_kept=14)
    assert torch.equal(weights, (target != 255).double())


def test_pixels_that_tie_for_the_last_place_are_all_kept() -> None:
    logits = torch.zeros(1, 2, 1, 6)
    logits[0, 0, 0, :2] = -5
    weights = ohem(logits, torch.zeros(1, 1, 6).long(), ignore_index=255, thresh=None, min_kept=3)
    assert weights.sum() == 6
    weights = ohem(logits, torch.zeros(1, 1, 6).long(), ignore_index=255, thresh=None, min_kept=2)
    assert weights.flatten().tolist() == [1, 1, 0, 0, 0, 0]


def test_a_zero_minimum_keeps_only_what_is_below_the_threshold() -> None:
    logits, target = random_example(1)
    weights = ohem(logits, target, ignore_index=255, thresh=0.1, min_kept=0)
    assert torch.equal(weights, by_sorting(logits, target, 0.1, 0))


def test_a_probability_equal_to_the_threshold_is_not_below_it() -> None:
    nll = torch.tensor([[[-math.log(0.5), 1.0]]], dtype=torch.float64)
    target = torch.zeros(1, 1, 2).long()
    weights = ohem(torch.zeros(1, 2, 1, 2), target, ignore_index=255, thresh=0.5, min_kept=0, nll=nll)
    assert weights.flatten().tolist() == [0, 1]


def test_given_losses_of_ignored_pixels_do_not_count() -> None:
    nll = torch.tensor([[[9.0, 9.0, 2.0, 1.0]]])
    target = torch.tensor([[[255, 255, 0, 0]]])
    weights = ohem(torch.zeros(1, 2, 1, 4), target, ignore_index=255, thresh=None, min_kept=1, nll=nll)
    assert weights.flatten().tolist() == [0, 0, 1, 0]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), thresh=st.sampled_from([None, 0.1, 0.7]), min_kept=st.integers(1, 41))
def test_shuffling_the_pixels_of_the_batch_shuffles_the_weights(seed: int, thresh: float | None, min_kept: int) -> None:
    logits, target = random_example(seed)
    nll = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
    order = torch.randperm(target.numel(), generator=torch.Generator().manual_seed(seed))

    def weigh(nll: Tensor, target: Tensor) -> Tensor:
        return ohem(logits, target, ignore_index=255, thresh=thresh, min_kept=min_kept, nll=nll).flatten()

    shuffled = weigh(nll.flatten()[order].view_as(nll), target.flatten()[order].view_as(target))
    assert torch.equal(shuffled, weigh(nll, target)[order])


def test_given_losses_replace_the_logits() -> None:
    logits, target = random_example(2)
    nll = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
    nonsense = torch.full_like(logits, torch.nan)
    given_nll = ohem(nonsense, target, ignore_index=255, nll=nll.requires_grad_())
    assert torch.equal(given_nll, ohem(logits, target, ignore_index=255))


def test_weights_carry_no_gradient() -> None:
    logits, target = random_example(3)
    assert not ohem(logits.requires_grad_(), target, ignore_index=255).requires_grad


@pytest.mark.parametrize("images", [0, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("thresh", [None, 0.7])
def test_nothing_labelled_keeps_nothing(dtype: torch.dtype, images: int, thresh: float | None) -> None:
    logits = torch.randn(images, 3, 4, 4).to(dtype)
    weights = ohem(logits, torch.full((images, 4, 4), 255), ignore_index=255, thresh=thresh)
    assert weights.shape == (images, 4, 4)
    assert (weights == 0).all()


def test_the_ignored_label_may_be_a_class() -> None:
    logits, target = random_example(4)
    weights = ohem(logits, target.masked_fill(target == 255, 0), ignore_index=0, min_kept=41)
    assert (weights[target == 0] == 0).all()
    assert weights.sum() > 0


def test_a_count_that_would_switch_it_off_is_refused_with_a_remedy() -> None:
    logits, target = random_example(5)
    with pytest.raises(ShapeError, match=r"min_kept is 42 pixels.*6 x 7 = 42.*fraction of the crop"):
        ohem(logits, target, ignore_index=255, min_kept=42)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"min_kept": 1.0}, "min_kept"),
        ({"min_kept": 100_000.0}, "min_kept"),
        ({"min_kept": -1}, "min_kept"),
        ({"thresh": 0.0}, "thresh"),
        ({"thresh": 1.5}, "thresh"),
        ({"thresh": None, "min_kept": 0}, "min_kept"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict[str, Any], path: str) -> None:
    logits, target = random_example(6)
    with pytest.raises(ConfigError) as caught:
        ohem(logits, target, ignore_index=255, **arguments)
    assert [problem.path for problem in caught.value.problems] == [path]


def test_samplers_are_found_by_their_config_names() -> None:
    assert dict(SAMPLERS) == {"ohem": ohem}


# Uneven shares: 4 images over 3 workers; worker 1 has only void, worker 2 has no image at all.
SHARES = {2: [slice(0, 3), slice(3, 4)], 3: [slice(0, 3), slice(3, 4), slice(4, 4)]}


def joined_batch() -> tuple[Tensor, Tensor]:
    logits, target = random_example(7, images=4)
    target[3] = 255
    return logits, target


def worker(rank: int, world_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world_size)
    logits, target = (x[SHARES[world_size][rank]] for x in joined_batch())
    results = {
        (thresh, min_kept, scope): ohem(logits, target, ignore_index=255, thresh=thresh, min_kept=min_kept, scope=scope)
        for thresh in (None, 0.1, 0.7)
        for min_kept in (5, 20, 0.9)
        for scope in ("global", "rank")
    }
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.dist
@pytest.mark.parametrize("world_size", [2, 3])
def test_workers_keep_what_one_process_keeps_of_the_joined_batch(world_size: int, tmp_path: Path) -> None:
    mp.spawn(worker, args=(world_size, str(tmp_path)), nprocs=world_size)  # type: ignore[attr-defined,no-untyped-call]
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in range(world_size)]
    logits, target = joined_batch()
    for thresh, min_kept, scope in shares[0]:
        arguments: dict[str, Any] = {"ignore_index": 255, "thresh": thresh, "min_kept": min_kept}
        joined = torch.cat([share[thresh, min_kept, scope] for share in shares])
        parts = [slice(0, 4)] if scope == "global" else SHARES[world_size]
        expected = [ohem(logits[part], target[part], **arguments) for part in parts]
        assert torch.equal(joined, torch.cat(expected)), (thresh, min_kept, scope)
    assert not torch.equal(shares[0][None, 5, "global"], shares[0][None, 5, "rank"])
