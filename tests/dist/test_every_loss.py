"""Every loss of the table with every normaliser and sampler: value and gradient are the global batch's, or each rank's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from rayseg.collective import rank, world_size
from rayseg.losses import LOSSES, PIXEL_LOSSES, cross_entropy
from rayseg.mix import Head, Mix, Normalize, Term
from rayseg.sampling import SAMPLERS
from rayseg.testing import run_distributed
from rayseg.types import MAIN_HEAD

pytestmark = pytest.mark.dist

BATCH, VOID = 7, 255
#: A part of each, chosen so that each keeps some pixels and not all.
CHOICES: dict[str, tuple[str, dict[str, Any]]] = {
    "all_pixels": ("all_pixels", {}),
    "ohem": ("ohem", {"thresh": 0.3, "min_kept": 0.2}),
    "ohem by loss": ("ohem", {"thresh": None, "min_kept": 9, "by": "loss"}),
    "ohem_mmseg": ("ohem_mmseg", {"thresh": 0.3, "min_kept": 5}),
    "ohem_mmseg by loss": ("ohem_mmseg", {"min_kept": 31, "per": "batch"}),
    "top_k": ("top_k", {"ratio": 0.3}),
}

Found = dict[str, tuple[Tensor, Tensor]]


def heads(scope: Any) -> Iterator[tuple[str, Head]]:
    """Cross-entropy stands beside every loss, so that a sampler has something to choose."""
    for name, loss in LOSSES.items():
        made = loss() if isinstance(loss, type) else loss
        for normalize in get_args(Normalize) if name in PIXEL_LOSSES else ("weights",):
            weight = torch.tensor([0.5, 3.0, 1.0, 2.0][: num_channels(name)], dtype=torch.float64)
            own = Term(made, normalize=normalize, scope=scope, class_weight=weight, returns_map=name in PIXEL_LOSSES)
            terms = {"own": own, "ce": Term(cross_entropy, weight=0.5, normalize="valid", scope=scope)}
            for label, (sampler, arguments) in CHOICES.items():
                given = arguments if sampler == "all_pixels" else {**arguments, "scope": scope}
                yield f"{name} {normalize} {label}", Head(terms, partial(SAMPLERS[sampler], **given))


def num_channels(name: str) -> int:
    return 2 if name.startswith(("boundary", "lovasz_hinge")) else 4


def share(channels: int, workers: int, number: int) -> tuple[Tensor, Tensor]:
    """Of seven images: one is all void, and the last class is only in the first."""
    generator = torch.Generator().manual_seed(channels)
    logits = 2 * torch.randn(BATCH, channels, 5, 6, generator=generator, dtype=torch.float64)
    masks = torch.randint(channels - 1, (BATCH, 5, 6), generator=generator)
    masks[0, 1:3] = channels - 1
    masks[torch.rand(BATCH, 5, 6, generator=generator) < 0.2] = VOID
    masks[1] = VOID
    return logits[number::workers], masks[number::workers]


def found(scope: str, workers: int | None = None, number: int | None = None) -> Found:
    """Value of each case, and its gradient at the logits of one worker's share; of this worker's if none is named."""
    values: Found = {}
    for case, head in heads(scope):
        logits, masks = share(
            num_channels(case), world_size() if workers is None else workers, rank() if number is None else number
        )
        leaf = logits.requires_grad_()
        total = Mix({MAIN_HEAD: head})({MAIN_HEAD: leaf}, masks, step=0).total
        values[case] = (total.detach(), torch.autograd.grad(total, leaf)[0])
    return values


def test_every_sampler_of_the_table_is_tried() -> None:
    assert {sampler for sampler, _ in CHOICES.values()} == set(SAMPLERS)


@pytest.mark.parametrize("workers", [2, 3])
def test_over_all_workers_it_is_that_of_the_whole_batch(workers: int) -> None:
    alone = found("global")
    for number, theirs in enumerate(run_distributed(found, workers, "global")):
        for case, (value, gradient) in theirs.items():
            torch.testing.assert_close(value, alone[case][0], rtol=1e-10, atol=1e-12, msg=case)
            torch.testing.assert_close(gradient, alone[case][1][number::workers], rtol=1e-10, atol=1e-12, msg=case)


def test_on_each_rank_it_is_the_mean_of_what_each_would_have_alone() -> None:
    workers = 3
    alone = [found("rank", workers, number) for number in range(workers)]
    images = [len(share(2, workers, number)[1]) / BATCH for number in range(workers)]
    for number, theirs in enumerate(run_distributed(found, workers, "rank")):
        for case, (value, gradient) in theirs.items():
            mean = torch.stack([part * own[case][0] for part, own in zip(images, alone, strict=True)]).sum()
            torch.testing.assert_close(value, mean, rtol=1e-10, atol=1e-12, msg=case)
            torch.testing.assert_close(gradient, images[number] * alone[number][case][1], rtol=1e-10, atol=1e-12, msg=case)
