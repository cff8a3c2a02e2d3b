"""Batch norm over the global batch, and exchanging one kind of normalisation for another.

Letters: N images of this worker (0 is allowed), C channels, H x W pixels, n = N * H * W values per channel.

Each worker takes its mean and variance by a stable algorithm; what travels is ``[n * mean, n * (var + mean^2), n]`` in float64.
The global variance is a difference of float64 numbers, exact to about 1e-16 * (mean / std)^2: far below float32's rounding. One
sum over workers forward and one backward, in the same order on every rank because the graphs are the same.

The backward pass is the true derivative of the sum of all workers' losses (Ioffe and Szegedy, 2015, section 3), with sums
over the global batch. The gradients of scale and shift stay local sums, because DDP averages them with everything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from rayseg.collective import all_sum, world_size
from rayseg.errors import ConfigError, Problem
from rayseg.models._rewrite import rewrite

__all__ = ["NormKind", "SyncBatchNorm2d", "frozen_statistics", "set_norm"]

NormKind = Literal["keep", "batch", "sync", "group"]


def _statistics_dtype(images: Tensor) -> torch.dtype:
    return torch.promote_types(images.dtype, torch.float32)


def _local_sums(images: Tensor) -> Tensor:
    """``[n * mean, n * (var + mean^2), n]`` of this worker, ``(2C + 1,)`` float64; zeros for an empty batch."""
    channels = images.shape[1]
    sums = torch.zeros(2 * channels + 1, dtype=torch.float64, device=images.device)
    if images.numel() > 0:
        count = images.numel() // channels
        mean, var = torch.batch_norm_update_stats(images.to(_statistics_dtype(images)), None, None, 0.0)
        mean, var = mean.double(), var.double()
        torch.cat([mean, mean.square() + var, torch.ones_like(sums[:1])], out=sums).mul_(count)
    return sums


def _global_moments(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean ``(C,)``, biased variance ``(C,)`` and count ``()`` over the global batch, float64."""
    sums = all_sum(_local_sums(images))
    count = sums[-1]
    mean, square = (sums[:-1] / count).chunk(2)
    return mean, (square - mean.square()).clamp_(min=0), count


class _Normalise(torch.autograd.Function):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` where mean and var are functions of every worker's x."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(images, weight, mean, var, count)
        ctx.eps = eps
        return F.batch_norm(images, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable  # type: ignore[misc, untyped-decorator, unused-ignore]
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, mean, var, count = ctx.saved_tensors
        grad = grad_outputs[0]
        inverse_std = torch.rsqrt(var + ctx.eps)
        grad_weight, grad_bias = _local_gradients(grad, images, weight, mean, inverse_std)
        grad_images = None
        if ctx.needs_input_grad[0]:
            shares = all_sum(torch.cat([grad_weight, grad_bias]).double()).div_(count).to(mean.dtype)
            grad_images = _input_gradient(grad, images, weight, mean, inverse_std, shares)
        if weight is None:
            return grad_images, None, None, None, None, None, None
        return grad_images, grad_weight.to(weight.dtype), grad_bias.to(weight.dtype), None, None, None, None


def _local_gradients(
    grad: Tensor, images: Tensor, weight: Tensor | None, mean: Tensor, inverse_std: Tensor
) -> tuple[Tensor, Tensor]:
    """This worker's ``sum grad * normalised`` and ``sum grad``, each ``(C,)``."""
    if grad.numel() == 0:  # the native kernel divides by the number of images
        return torch.zeros_like(mean), torch.zeros_like(mean)
    scale = torch.ones_like(mean) if weight is None else weight  # not used by these sums, but CUDA takes the dtype from it
    _, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
        grad, images, scale, None, None, mean, inverse_std, True, 0.0, [False, True, True]
    )
    return grad_weight, grad_bias


def _input_gradient(
    grad: Tensor, images: Tensor, weight: Tensor | None, mean: Tensor, inverse_std: Tensor, shares: Tensor
) -> Tensor:
    """``(grad - shares[1] - normalised * shares[0]) * weight / std``, where shares are global means ``(2C,)``."""
    shape = (1, -1, *[1] * (images.dim() - 2))
    scale = inverse_std if weight is None else inverse_std * weight
    mean_product, mean_grad = shares.chunk(2)
    result = images.to(mean.dtype) - mean.view(shape)
    result.mul_((-scale * inverse_std * mean_product).view(shape)).sub_((scale * mean_grad).view(shape))
    return result.addcmul_(grad.to(mean.dtype), scale.view(shape)).to(images.dtype)


class SyncBatchNorm2d(_BatchNorm):
    """Batch norm whose mean and variance are those of the global batch, on CPU and GPU, for shares of any size.

    With one worker, and in eval mode, it is ``nn.BatchNorm2d`` to the bit. With several, workers may hold different numbers of
    images, or none. Every worker has to take part in each training forward and backward. A channel with a single value over
    all workers has variance 0 and leaves the running variance's new share at 0. Modules converted from ``BatchNorm1d`` and
    ``BatchNorm3d`` take their shapes: ``(N, C, ...)``.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: weight of the new statistics in the running ones; None for their plain mean.
        affine: learn a scale and a shift per channel.
        track_running_stats: keep running statistics for eval mode.

    Example:
        >>> norm = SyncBatchNorm2d(3)
        >>> norm(torch.randn(4, 3, 8, 8)).std().round().item()
        1.0
    """

    local_type: type[_BatchNorm] = nn.BatchNorm2d

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  (torch's name)
        self.local_type._check_input_dim(self, input)  # type: ignore[no-untyped-call]  # noqa: SLF001

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """Normalised images, of the shape and dtype of ``input`` ``(N, C, H, W)``."""
        if not self.training or world_size() == 1:
            return super().forward(input)
        self._check_input_dim(input)
        mean, var, count = _global_moments(input.detach())
        self._track(mean, var, count)
        dtype = _statistics_dtype(input)
        normalised: Tensor = _Normalise.apply(input, self.weight, self.bias, mean.to(dtype), var.to(dtype), count, self.eps)
        return normalised

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        unbiased = var * (count / (count - 1).clamp(min=1))
        self.running_mean.mul_(1 - share).add_(mean.to(self.running_mean.dtype), alpha=share)
        self.running_var.mul_(1 - share).add_(unbiased.to(self.running_var.dtype), alpha=share)


_LOCAL_TYPES: tuple[type[_BatchNorm], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_SYNC_TYPES: tuple[type[_BatchNorm], ...] = (nn.SyncBatchNorm, SyncBatchNorm2d)


def _local_type(norm: _BatchNorm) -> type[_BatchNorm]:
    if isinstance(norm, SyncBatchNorm2d):
        return norm.local_type
    return next((kind for kind in _LOCAL_TYPES if isinstance(norm, kind)), nn.BatchNorm2d)


def _new_batch_norm(kind: type[_BatchNorm], norm: _BatchNorm) -> _BatchNorm:
    """A norm of another class that holds the very parameters and buffers of this one."""
    new = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    for name, parameter in norm.named_parameters(recurse=False):
        setattr(new, name, parameter)
    for name, buffer in norm.named_buffers(recurse=False):
        setattr(new, name, buffer)
    return new


def _to_batch(norm: _BatchNorm) -> nn.Module:
    return _new_batch_norm(_local_type(norm), norm) if isinstance(norm, _SYNC_TYPES) else norm


def _to_sync(norm: _BatchNorm) -> nn.Module:
    if isinstance(norm, SyncBatchNorm2d):
        return norm
    new = _new_batch_norm(SyncBatchNorm2d, norm)
    new.local_type = _local_type(norm)  # type: ignore[assignment]
    return new


def _num_groups(channels: int) -> int:
    """At most 32 groups of at least 4 channels, where C is a multiple of 4; else a common divisor of 32 and C."""
    return math.gcd(32, channels // 4 if channels % 4 == 0 else channels)


def _to_group(norm: _BatchNorm) -> nn.Module:
    new = nn.GroupNorm(_num_groups(norm.num_features), norm.num_features, norm.eps, norm.affine)
    for name, parameter in norm.named_parameters(recurse=False):
        setattr(new, name, parameter)
    return new


_CONVERTERS: Mapping[str, Callable[[_BatchNorm], nn.Module]] = {"batch": _to_batch, "sync": _to_sync, "group": _to_group}


def _drop_and_act(module: nn.Module, _args: Any, output: Tensor) -> Tensor:
    activated: Tensor = module.act(module.drop(output))  # type: ignore[operator]
    return activated


def _with_activation(new: nn.Module, norm: nn.Module) -> nn.Module:
    """Carry over the dropout and activation that timm keeps inside its batch norm (``BatchNormAct2d``)."""
    new.drop, new.act = norm.drop, norm.act
    new.register_forward_hook(_drop_and_act)
    return new


def _convert(kind: str, name: str, module: nn.Module) -> nn.Module:
    if not isinstance(module, _BatchNorm):
        return module
    new = _CONVERTERS[kind](module)
    if new is module:
        return module
    if isinstance(getattr(module, "act", None), nn.Module) and isinstance(getattr(module, "drop", None), nn.Module):
        new = _with_activation(new, module)
    elif type(module) not in (*_LOCAL_TYPES, *_SYNC_TYPES):
        message = f"{name} is a {type(module).__name__}, whose forward is its own and would be lost; write norm: keep"
        raise ConfigError([Problem("model.norm", message)])
    return new.train(module.training)


def set_norm(model: nn.Module, kind: NormKind) -> nn.Module:
    """Exchange every batch norm of a model, in place; weights, buffers, devices, frozen flags and modes stay.

    Args:
        model: any module.
        kind: ``keep`` changes nothing; ``batch``: statistics of each worker's own share; ``sync``: statistics of the global
            batch; ``group``: ``GroupNorm`` (Wu and He, 2018) of at most 32 groups, of at least 4 channels each where C
            allows it, which takes over scale and shift and has no running statistics.

    Returns:
        The model, or its replacement when the model is itself a batch norm.

    Raises:
        ConfigError: for another kind, or a subclass of batch norm with a forward of its own (except timm's ``BatchNormAct2d``).

    Example:
        >>> set_norm(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), "group")[1].num_groups
        2
    """
    if kind not in get_args(NormKind):
        raise ConfigError([Problem("model.norm", f"must be one of {', '.join(get_args(NormKind))}, got {kind!r}")])
    return model if kind == "keep" else rewrite(model, lambda name, module: _convert(kind, name, module))


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Put every buffer (running statistics, counters) back on exit, whatever forward passes were made inside.

    Args:
        model: any module; it may be in training mode.

    Example:
        >>> norm = nn.BatchNorm2d(3)
        >>> with frozen_statistics(norm):
        ...     _ = norm(torch.ones(2, 3, 4, 4))
        >>> norm.running_mean.tolist()
        [0.0, 0.0, 0.0]
    """
    saved = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in saved:
                buffer.copy_(value)
