"""Dropout whose masks are functions of (seed, sample k, layer).

What a sample loses does not depend on its place in the batch, on the rank that has it, on the micro-batch, or on what was
drawn before. So a run is the same for any number of workers, and a resumed run needs no generator states.

Random bits come from a counter: unit e of sample k in a layer gets ``mix(mix(e ^ a) + b)`` with two 32-bit words a, b that are
hashed from (seed, k, layer name). ``mix`` is the finaliser of MurmurHash3 (Appleby, public domain): integer arithmetic, alike
on every device. A unit is dropped where its 32 bits are below ``p * 2^32``.

A layer that is called twice for the same images drops the same units both times. Keys stay set until the context ends, in
every thread, so activation checkpointing that runs a layer again in backward sees the same masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rayseg.errors import ConfigError, Problem, RaysegError, ShapeError
from rayseg.models._rewrite import rewrite

__all__ = ["SampleDropPath", "SampleDropout", "SampleDropout2d", "sample_keys", "sample_mask", "set_dropout"]

_LOW = 0xFFFFFFFF


class _Stream(NamedTuple):
    seed: int
    keys: Tensor


#: What the innermost ``sample_keys`` said. Not thread-local: autograd runs backward in threads of its own.
_streams: list[_Stream] = []


def _mix_(bits: Tensor) -> Tensor:
    """MurmurHash3's 32-bit finaliser, in place, on int64 that hold 32-bit values."""
    bits ^= bits >> 16
    bits.mul_(0x85EBCA6B).bitwise_and_(_LOW)
    bits ^= bits >> 13
    bits.mul_(0xC2B2AE35).bitwise_and_(_LOW)
    bits ^= bits >> 16
    return bits


def _sample_word(seed: int, keys: Tensor, layer_word: int) -> Tensor:
    """32 bits per sample, ``(N,)`` int64, hashed from the seed, k and one word of the layer's name."""
    bits = _mix_((keys & _LOW) ^ layer_word)
    for word in (keys >> 32 & _LOW, seed & _LOW, seed >> 32 & _LOW):
        bits = _mix_((bits * 5 + 0xE6546B64 & _LOW) ^ word)
    return bits


def sample_mask(seed: int, keys: Tensor, layer: str, num_units: int, p: float) -> Tensor:
    """Which units stay: ``(N, num_units)`` bool, True with probability ``1 - p``.

    Args:
        seed: the run's seed.
        keys: ``(N,)`` int64, global sample numbers.
        layer: name of the layer.
        num_units: units per sample, at most 2^32.
        p: probability that a unit is dropped.

    Example:
        >>> both = sample_mask(0, torch.tensor([7, 8]), "head", 1000, 0.5)
        >>> torch.equal(both[1:], sample_mask(0, torch.tensor([8]), "head", 1000, 0.5))
        True
    """
    digest = hashlib.blake2b(layer.encode(), digest_size=8).digest()
    first, second = (_sample_word(seed, keys, int.from_bytes(part, "little")) for part in (digest[:4], digest[4:]))
    bits = torch.arange(num_units, device=keys.device) ^ first.unsqueeze(1)
    bits = _mix_(_mix_(bits).add_(second.unsqueeze(1)).bitwise_and_(_LOW))
    return bits >= round(p * 2**32)


@contextmanager
def sample_keys(seed: int, keys: Tensor) -> Iterator[None]:
    """Tell the dropout layers which samples are in the batch; contains forward and backward.

    Args:
        seed: the run's seed.
        keys: ``(N,)`` int64, global sample numbers of the images of this forward pass, best on their device.

    Raises:
        ShapeError: keys are not a vector of int64.

    Example:
        >>> drop = SampleDropout(0.5)
        >>> with sample_keys(0, torch.arange(2)):
        ...     drop(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    if keys.dim() != 1 or keys.dtype != torch.int64:
        raise ShapeError(f"sample_keys: keys must be (N,) int64 sample numbers, got {tuple(keys.shape)} {keys.dtype}")
    _streams.append(_Stream(seed, keys.detach()))
    try:
        yield
    finally:
        _streams.pop()


def _current_stream(layer: str, images: Tensor) -> _Stream:
    where = f"dropout layer {layer!r}"
    if not _streams:
        raise RaysegError(
            f"{where}: training forward outside 'with sample_keys(seed, keys)', expected the sample numbers that its masks are "
            "functions of; wrap forward and backward in it, or call model.eval()"
        )
    stream = _streams[-1]
    if images.shape[0] != len(stream.keys):
        raise ShapeError(
            f"{where}: got {tuple(images.shape)} for {len(stream.keys)} sample keys, expected one per entry of dimension 0; "
            "give this forward pass the keys of its own images, or set this layer's p to 0 if its dimension 0 is not the images"
        )
    return stream


def _drop(images: Tensor, p: float, layer: str, unit_shape: torch.Size) -> Tensor:
    """Zero the units of the mask and scale the rest by ``1 / (1 - p)``; a unit spans the dimensions after ``unit_shape``."""
    if p >= 1:
        return images * 0
    seed, keys = _current_stream(layer, images)
    mask = sample_mask(seed, keys.to(images.device), layer, unit_shape.numel(), p)
    trailing = [1] * (images.dim() - 1 - len(unit_shape))
    return images * mask.view(len(keys), *unit_shape, *trailing).to(images.dtype).div_(1 - p)


def _checked(p: float) -> float:
    if not 0 <= p <= 1:
        raise ConfigError([Problem("model", f"a dropout probability must be between 0 and 1, got {p}")])
    return p


class SampleDropout(nn.Module):
    """Drop single values of ``(N, ...)``; the counterpart of ``nn.Dropout``.

    Args:
        p: probability that a value is dropped.
        layer: name that the mask depends on; ``set_dropout`` gives each layer its dotted name.

    Example:
        >>> SampleDropout(0.5).eval()(torch.ones(1, 2))
        tensor([[1., 1.]])
    """

    def __init__(self, p: float = 0.5, layer: str = "") -> None:
        super().__init__()
        self.p, self.layer = _checked(p), layer

    def forward(self, images: Tensor) -> Tensor:
        """Images of the same shape; needs ``sample_keys`` in training mode."""
        return _drop(images, self.p, self.layer, images.shape[1:]) if self.training and self.p > 0 else images

    def extra_repr(self) -> str:
        """The arguments."""
        return f"p={self.p}, layer={self.layer!r}"


class SampleDropout2d(nn.Module):
    """Drop whole channels of ``(N, C, ...)``; the counterpart of ``nn.Dropout2d``.

    Args:
        p: probability that a channel is dropped.
        layer: name that the mask depends on; ``set_dropout`` gives each layer its dotted name.

    Example:
        >>> with sample_keys(0, torch.arange(1)):
        ...     dropped = SampleDropout2d(0.5)(torch.ones(1, 64, 3, 3))
        >>> sorted(set(dropped.mean((2, 3)).flatten().tolist()))
        [0.0, 2.0]
    """

    def __init__(self, p: float = 0.5, layer: str = "") -> None:
        super().__init__()
        self.p, self.layer = _checked(p), layer

    def forward(self, images: Tensor) -> Tensor:
        """Images of the same shape; needs ``sample_keys`` in training mode."""
        return _drop(images, self.p, self.layer, images.shape[1:2]) if self.training and self.p > 0 else images

    def extra_repr(self) -> str:
        """The arguments."""
        return f"p={self.p}, layer={self.layer!r}"


class SampleDropPath(nn.Module):
    """Drop whole samples of a residual branch ``(N, ...)``: stochastic depth (Huang et al., 2016).

    Args:
        p: probability that a sample's branch is dropped.
        layer: name that the mask depends on; ``set_dropout`` gives each layer its dotted name.

    Example:
        >>> with sample_keys(0, torch.arange(64)):
        ...     dropped = SampleDropPath(0.5)(torch.ones(64, 2))
        >>> sorted(set(dropped.sum(1).tolist()))
        [0.0, 4.0]
    """

    def __init__(self, p: float = 0.5, layer: str = "") -> None:
        super().__init__()
        self.p, self.layer = _checked(p), layer

    def forward(self, images: Tensor) -> Tensor:
        """Images of the same shape; needs ``sample_keys`` in training mode."""
        return _drop(images, self.p, self.layer, images.shape[1:1]) if self.training and self.p > 0 else images

    def extra_repr(self) -> str:
        """The arguments."""
        return f"p={self.p}, layer={self.layer!r}"


def _refuse(name: str, module: nn.Module, remedy: str) -> ConfigError:
    message = f"{name} is a {type(module).__name__} that drops by a generator's state, not by sample; {remedy}"
    return ConfigError([Problem("model", message)])


def _replace_drop_path(name: str, module: nn.Module) -> nn.Module:
    """``StochasticDepth(p, mode)`` of torchvision, or ``DropPath(drop_prob, scale_by_keep)`` of timm."""
    if getattr(module, "mode", "row") != "row":
        raise _refuse(name, module, "use mode='row'")
    if not getattr(module, "scale_by_keep", True):
        raise _refuse(name, module, "use scale_by_keep=True")
    p = getattr(module, "p", getattr(module, "drop_prob", None))
    return SampleDropPath(float(p or 0.0), name)


def _convert(name: str, module: nn.Module) -> nn.Module:
    new = module
    if isinstance(module, SampleDropout | SampleDropout2d | SampleDropPath):
        module.layer = name
    elif type(module) is nn.Dropout:
        new = SampleDropout(module.p, name)
    elif isinstance(module, nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
        new = SampleDropout2d(module.p, name)
    elif type(module).__name__ in ("StochasticDepth", "DropPath"):
        new = _replace_drop_path(name, module)
    elif isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:  # noqa: SLF001  (torch has no public base)
        raise _refuse(name, module, "use nn.Dropout or nn.Dropout2d, or set its p to 0")
    elif isinstance(module, nn.MultiheadAttention) and module.dropout > 0:
        raise _refuse(name, module, "set its dropout to 0")
    return new if new is module else new.train(module.training)


def set_dropout(model: nn.Module) -> nn.Module:
    """Exchange every dropout and drop-path layer by one whose masks are functions of (seed, sample, layer), in place.

    Known are ``nn.Dropout``, ``nn.Dropout1d/2d/3d``, torchvision's ``StochasticDepth`` and timm's ``DropPath``. Dropout that a
    model applies as a function (``F.dropout``) cannot be seen and stays as it is.

    Returns:
        The model, or its replacement when the model is itself such a layer.

    Raises:
        ConfigError: a layer drops in a way that cannot be a function of the sample.

    Example:
        >>> set_dropout(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Dropout2d(0.1)))[1]
        SampleDropout2d(p=0.1, layer='1')
    """
    return rewrite(model, _convert)
