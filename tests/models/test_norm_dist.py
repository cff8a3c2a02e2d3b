"""Batch norm over the global batch, over processes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rayseg.collective import rank, world_size
from rayseg.models import frozen_statistics, set_norm
from rayseg.testing import run_distributed

pytestmark = pytest.mark.dist

IMAGES = 6
STEPS = 3


def model(dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, bias=False),
        nn.BatchNorm2d(4, momentum=None),
    )
    for norm in (layers[1], layers[4]):
        nn.init.uniform_(next(norm.parameters()), 0.5, 1.5)
    return set_norm(layers.to(dtype), "sync")


def batch(step: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(IMAGES, 3, 9, 8, dtype=torch.float64, generator=generator) * 2 + 5
    return x.to(dtype), torch.randn(IMAGES, 4, 5, 4, dtype=torch.float64, generator=generator).to(dtype)


def train(network: nn.Module, share: slice, world_size: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Momentum SGD; returns the state, the last gradients, and that of the images of this share."""
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    for step in range(STEPS):
        x, target = (part[share] for part in batch(step, dtype))
        x.requires_grad_()
        optimizer.zero_grad()
        output = network(x)
        loss = ((output - target).square() * target.abs()).sum() / IMAGES + output.pow(3).sum() / 100
        (loss * world_size).backward()
        optimizer.step()
    assert x.grad is not None
    inner = network.module if isinstance(network, DistributedDataParallel) else network
    grads = {
        f"grad.{name}": parameter.grad.clone() for name, parameter in inner.named_parameters() if parameter.grad is not None
    }
    return {**inner.state_dict(), **grads, "x.grad": x.grad / world_size}


def _worker(cases: Sequence[tuple[tuple[int, ...], torch.dtype]]) -> list[dict[str, Tensor]]:
    states = []
    for cuts, dtype in cases:
        network = model(dtype)
        share = slice(cuts[rank()], cuts[rank() + 1])
        with torch.no_grad(), frozen_statistics(network):
            network(batch(0, dtype)[0][share])
        states.append(train(DistributedDataParallel(network), share, world_size(), dtype))
    return states


def distance(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((a - b).abs().max() / b.abs().max())


def check(expected: dict[str, Tensor], workers: Sequence[dict[str, Tensor]], tolerance: float) -> None:
    for state in workers:
        assert state.keys() == expected.keys()
        for name in state.keys() - {"x.grad"}:
            assert distance(state[name], expected[name]) <= tolerance, name
    joined = torch.cat([state["x.grad"] for state in workers])
    assert distance(joined, expected["x.grad"]) <= tolerance


@pytest.mark.parametrize(("num_workers", "shares"), [(2, [(0, 3, 6), (0, 1, 6), (0, 6, 6)]), (3, [(0, 1, 3, 6), (0, 4, 4, 6)])])
def test_any_shares_train_like_one_process(num_workers: int, shares: list[tuple[int, ...]]) -> None:
    cases = [(cuts, dtype) for cuts in shares for dtype in (torch.float64, torch.float32)]
    by_case = zip(*run_distributed(_worker, num_workers, cases), strict=True)
    for (_, dtype), workers in zip(cases, by_case, strict=True):
        check(train(model(dtype), slice(None), 1, dtype), workers, 1e-10 if dtype == torch.float64 else 1e-5)
