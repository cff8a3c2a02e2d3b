"""Sums over all workers; the identity where there is one.

One convention for gradients, everywhere: a global sum is *sum forward, identity backward*. The local total is multiplied
by the world size before ``backward``, because DDP averages gradients. (``torch.distributed.nn.functional.all_reduce``
sums in backward too; mixing both conventions multiplies a Dice gradient by the world size.)

Every function here is a collective: all ranks call it, in the same order, with tensors of the same shape.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = [
    "all_gather",
    "all_max",
    "all_sum",
    "barrier",
    "broadcast_object",
    "differentiable_sum",
    "is_main",
    "rank",
    "world_size",
]


def _active() -> bool:
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    """Number of workers; 1 without ``torch.distributed``."""
    return dist.get_world_size() if _active() else 1


def rank() -> int:
    """Number of this worker, from 0."""
    return dist.get_rank() if _active() else 0


def is_main() -> bool:
    """Whether this worker is rank 0, the one that logs and writes."""
    return rank() == 0


def barrier() -> None:
    """Wait until every worker is here."""
    if world_size() > 1:
        dist.barrier()


def all_sum(values: Tensor) -> Tensor:
    """Sum over workers, without a gradient; a new tensor of the same shape and dtype."""
    total = values.detach().clone()
    if world_size() > 1:
        dist.all_reduce(total)
    return total


def all_max(values: Tensor) -> Tensor:
    """Maximum over workers, without a gradient."""
    largest = values.detach().clone()
    if world_size() > 1:
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return largest


def all_gather(values: Tensor) -> Tensor:
    """The values of every worker, by rank, without a gradient: ``(world size, *shape)``."""
    if world_size() == 1:
        return values.detach()[None]
    gathered = [torch.empty_like(values) for _ in range(world_size())]
    dist.all_gather(gathered, values.detach().contiguous())
    return torch.stack(gathered)


class _SumForwardIdentityBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return all_sum(values)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0]


def differentiable_sum(values: Tensor) -> Tensor:
    """Sum over workers; the gradient passes through unchanged (see the convention at the top)."""
    if world_size() == 1:
        return values
    summed: Tensor = _SumForwardIdentityBackward.apply(values)
    return summed


def broadcast_object(value: Any, source: int = 0) -> Any:
    """The value that rank ``source`` holds, on every rank."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=source)
    return box[0]
