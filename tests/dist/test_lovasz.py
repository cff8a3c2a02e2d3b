"""Errors that are ranked over all workers: shares of different sizes, and ties that lie on several of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rayseg.collective import all_gather, rank, world_size
from rayseg.losses import Lovasz, LovaszHinge
from rayseg.mix import Head, Mix, Term
from rayseg.testing import run_distributed
from rayseg.types import MAIN_HEAD

pytestmark = pytest.mark.dist

BATCH, VOID = 7, 255
LOSSES = {
    "softmax": Term(Lovasz(), class_weight=torch.tensor([1.0, 3.0])),
    "hinge": Term(LovaszHinge()),
    "per image": Term(Lovasz("all", per_image=True)),
}


def batch() -> tuple[Tensor, Tensor]:
    """Logits of three values only, so that most errors are equal; one image is all void, class 1 is only in the last."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(-1, 2, (BATCH, 2, 3, 4), generator=generator).double()
    masks = torch.zeros(BATCH, 3, 4, dtype=torch.long)
    masks[-1, :2] = 1
    masks[torch.rand(BATCH, 3, 4, generator=generator) < 0.2] = VOID
    masks[1] = VOID
    return logits, masks


def values_and_gradients() -> dict[str, tuple[float, Tensor]]:
    """The global value of each loss, and the gradient at this worker's logits."""
    logits, masks = (whole[rank() :: world_size()] for whole in batch())
    found = {}
    for name, term in LOSSES.items():
        x = logits.clone().requires_grad_()
        total = Mix({MAIN_HEAD: Head({"loss": term})})({MAIN_HEAD: x}, masks, step=0).total
        found[name] = (total.item(), torch.autograd.grad(total, x)[0])
    return found


@pytest.mark.parametrize("num_workers", [2, 3])
def test_ties_across_workers_have_the_value_and_gradient_of_one_worker(num_workers: int) -> None:
    alone = values_and_gradients()
    for number, found in enumerate(run_distributed(values_and_gradients, num_workers)):
        for name, (value, gradient) in found.items():
            assert value == pytest.approx(alone[name][0], abs=1e-14), name
            torch.testing.assert_close(gradient, alone[name][1][number::num_workers], rtol=0, atol=1e-14, msg=name)


def ranks() -> Tensor:
    return all_gather(torch.full((2, 1), rank()))


def test_what_is_gathered_stands_in_the_order_of_ranks() -> None:
    for found in run_distributed(ranks, 3):
        assert found.tolist() == [[[0], [0]], [[1], [1]], [[2], [2]]]
    assert ranks().tolist() == [[[0], [0]]]
