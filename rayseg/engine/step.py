"""One optimizer step, up to the gradient.

The gradient is that of the loss over the global batch, whatever the number of workers and micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rayseg.collective import world_size
from rayseg.engine.scaler import LossScaler
from rayseg.mix import Mix
from rayseg.models import autocasting, frozen_statistics, named_logits, sample_keys
from rayseg.types import Batch, SegOutput

__all__ = ["backward", "broadcast_buffers", "unwrap", "wrap"]

#: Statistics are synchronised where they are made (torch 2.15 renamed the option and warns of the old name).
_BUFFERS_STAY_LOCAL: dict[str, Any] = {
    "forward_sync_buffers"
    if "forward_sync_buffers" in signature(DistributedDataParallel).parameters
    else "broadcast_buffers": False
}


def wrap(model: nn.Module, example: Batch, *, seed: int, compiled: bool = False) -> nn.Module:
    """The model under DDP where there are several workers, with its gradient buckets in their final order.

    Args:
        model: to train.
        example: a batch of this worker.
        seed: of the dropout masks.
        compiled: by ``torch.compile``; its state, its parameters and its evaluation stay the model's own.

    DDP re-orders its buckets after the first backward, which changes the order of sums, and so the bits, at three workers or
    more. One backward without a meaning is made here, so that the first real step of a fresh run and of a resumed one
    already use the final order. Weights, statistics and gradients are left as they were.
    """
    parallel = _parallel(model, example, seed)
    return cast(nn.Module, torch.compile(parallel)) if compiled else parallel


def _parallel(model: nn.Module, example: Batch, seed: int) -> nn.Module:
    if world_size() == 1:
        return model
    device = next(model.parameters()).device
    wrapped = DistributedDataParallel(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        **_BUFFERS_STAY_LOCAL,
        gradient_as_bucket_view=True,
    )
    with frozen_statistics(model), sample_keys(seed, example.keys):
        output = named_logits(wrapped(example.images))
        torch.stack([logits.float().sum() * 0 for logits in output.values()]).sum().backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
    return wrapped


def unwrap(model: nn.Module) -> nn.Module:
    """The user's model."""
    eager = _eager(model)
    inner: nn.Module = eager.module if isinstance(eager, DistributedDataParallel) else eager
    return inner


def _eager(model: nn.Module) -> nn.Module:
    """What was compiled, or the model itself."""
    eager: nn.Module = getattr(model, "_orig_mod", model)
    return eager


@dataclass(frozen=True)
class _Pass:
    """How every micro-batch of a step goes through the model and back."""

    step: int
    seed: int
    autocast: torch.dtype | None
    scale: Callable[[Tensor], Tensor]

    def forward(self, model: nn.Module, batch: Batch) -> SegOutput:
        """Named logits ``(N, C, h, w)`` of one micro-batch."""
        with autocasting(batch.images.device, self.autocast):
            return named_logits(model(batch.images))


def _times_world_size(total: Tensor) -> Tensor:
    """DDP divides gradients by it."""
    return total * world_size()


def backward(
    model: nn.Module,
    mix: Mix,
    batches: Sequence[Batch],
    *,
    step: int,
    seed: int,
    autocast: torch.dtype | None = None,
    scaler: LossScaler | None = None,
) -> dict[str, Tensor]:
    """Add the gradient of the global batch to the parameters.

    Args:
        model: wrapped by :func:`wrap`.
        mix: the loss.
        batches: this worker's micro-batches; every worker has the same number of them.
        step: optimizer step.
        seed: of the dropout masks.
        autocast: dtype of the forward pass where autocast allows it; None: as the weights are.
        scaler: scales the gradients, for its ``unscale`` to undo; None: they are as they should be.

    Returns:
        Detached values over the global batch: ``loss``, ``loss/<term>``, ``ohem/kept``.
    """
    way = _Pass(step, seed, autocast, _times_world_size if scaler is None else scaler.scaled)
    if len(batches) == 1:
        with _passing(model, batches[0], seed=seed):
            total, parts = mix(way.forward(model, batches[0]), batches[0].masks, step=step, images=batches[0].images)
            _backward(way.scale(total))
        return parts
    if mix.label_only(step):
        return _sum_of_micro_batches(model, mix, batches, way)
    return _gradient_at_the_logits(model, mix, batches, way)


def _sum_of_micro_batches(model: nn.Module, mix: Mix, batches: Sequence[Batch], way: _Pass) -> dict[str, Tensor]:
    """Every denominator is known from the labels: micro-batches add up to the batch."""
    normalisers = mix.label_normalisers([batch.masks for batch in batches])
    summed: dict[str, Tensor] = {}
    for number, batch in enumerate(batches):
        with _passing(model, batch, seed=way.seed, last=number == len(batches) - 1):
            output = way.forward(model, batch)
            total, parts = mix(output, batch.masks, step=way.step, images=batch.images, normalisers=normalisers)
            _backward(way.scale(total))
        summed = {name: summed[name] + value if summed else value for name, value in parts.items()}
    return summed


def _gradient_at_the_logits(model: nn.Module, mix: Mix, batches: Sequence[Batch], way: _Pass) -> dict[str, Tensor]:
    """Collect the logits without a graph, take the gradient of the whole loss once, then re-run each micro-batch against it."""
    plain = unwrap(model)
    outputs: list[SegOutput] = []
    with torch.no_grad(), frozen_statistics(plain):
        for batch in batches:
            with _passing(plain, batch, seed=way.seed):
                outputs.append(way.forward(plain, batch))
    whole = {name: torch.cat([output[name] for output in outputs]).requires_grad_() for name in outputs[0]}
    del outputs
    masks = torch.cat([batch.masks for batch in batches])
    images = torch.cat([batch.images for batch in batches]) if mix.takes_images else None
    total, parts = mix(whole, masks, step=way.step, images=images)
    gradients = dict(zip(whole, torch.autograd.grad(way.scale(total), list(whole.values())), strict=True))
    sizes = [len(batch.masks) for batch in batches]
    slices = {name: torch.split(gradient, sizes) for name, gradient in gradients.items()}
    for number, batch in enumerate(batches):
        with _passing(model, batch, seed=way.seed, last=number == len(batches) - 1):
            output = way.forward(model, batch)
            learned = [name for name, logits in output.items() if logits.requires_grad]  # not a head that is frozen whole
            torch.autograd.backward([output[name] for name in learned], [slices[name][number] for name in learned])
    return parts


@contextmanager
def _passing(model: nn.Module, batch: Batch, *, seed: int, last: bool = True) -> Iterator[None]:
    """Around forward and backward of a micro-batch: its dropout masks, and DDP adds over workers in the last one only."""
    eager = _eager(model)
    waits = isinstance(eager, DistributedDataParallel) and not last
    with sample_keys(seed, batch.keys), eager.no_sync() if waits else nullcontext():  # type: ignore[operator]
        yield


def _backward(total: Tensor) -> None:
    total.backward()  # type: ignore[no-untyped-call]


def broadcast_buffers(model: nn.Module) -> None:
    """Rank 0's buffers on every rank: batch norms that are not synchronised have statistics of their own."""
    if world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)
