"""The balanced cross-entropy of edges against torch's, with the weights of its source."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.errors import ConfigError, ShapeError
from rayseg.losses import Boundary
from rayseg.mix import Head, Mix, Term

VOID = 255


def example() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3, 1, 5, 7, generator=generator, dtype=torch.float64)
    target = (torch.rand(3, 5, 7, generator=generator) < torch.tensor([0.1, 0.4, 0.0])[:, None, None]).long()
    return logits, target.masked_fill(torch.rand(3, 5, 7, generator=generator) < 0.2, VOID)


def of_mix(x: Tensor, target: Tensor, weight: Tensor | None = None, **own: Any) -> Tensor:
    return Mix({"main": Head({"own": Term(Boundary(**own), class_weight=weight)})})({"main": x}, target, step=0).total


def by_torch(x: Tensor, target: Tensor, weight: tuple[float, float] = (1, 1)) -> Tensor:
    """The mean over everything, as MMSegmentation's."""
    edges, others = (target == 1).double(), (target == 0).double()
    balance = (weight[1] * edges * others.sum() + weight[0] * others * edges.sum()) / (edges.sum() + others.sum())
    return F.binary_cross_entropy_with_logits(x[:, 0], edges, balance)


@pytest.mark.parametrize("weight", [None, (2.0, 5.0)])
def test_it_is_torchs_cross_entropy_with_balanced_weights(weight: tuple[float, float] | None) -> None:
    x, target = example()
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    loss = of_mix(ours, target, None if weight is None else torch.tensor(weight), divide_by="all")
    expected = by_torch(theirs, target, weight or (1, 1))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, ours), torch.autograd.grad(expected, theirs))


def test_by_default_it_is_divided_by_what_is_labelled() -> None:
    x, target = example()
    share = (target != VOID).double().mean()
    torch.testing.assert_close(of_mix(x, target), of_mix(x, target, divide_by="all") / share)


def test_per_image_is_the_mean_over_images() -> None:
    x, target = example()
    each = torch.stack([of_mix(x[[i]], target[[i]]) for i in range(3)])
    assert each[2] == 0  # nothing but non-edges
    torch.testing.assert_close(of_mix(x, target, per_image=True), each.mean())


def test_two_channels_are_their_difference() -> None:
    x, target = example()
    torch.testing.assert_close(of_mix(torch.cat([-x, x], dim=1) / 2, target), of_mix(x, target))


def test_only_void_is_zero() -> None:
    x, target = example()
    x.requires_grad_()
    loss = of_mix(x, torch.full_like(target, VOID))
    assert loss == 0
    assert (torch.autograd.grad(loss, x)[0] == 0).all()


def test_more_classes_and_senseless_arguments_are_refused() -> None:
    x, target = example()
    with pytest.raises(ShapeError, match="3 channels; an edge map has two classes"):
        of_mix(x.expand(-1, 3, -1, -1), target)
    with pytest.raises(ConfigError, match="divide_by: must be 'valid' or 'all', got 'none'"):
        of_mix(x, target, divide_by="none")
