"""The Mix Transformer, backbone of SegFormer (Xie et al., 2021), with MMSegmentation's names of parameters.

Letters: N images, L = h * w positions of a stage, D channels of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rayseg.errors import ConfigError, Problem, ShapeError
from rayseg.models.mmseg.attention import Attention, DropPath
from rayseg.models.mmseg.conv import ACTIVATIONS, activation

__all__ = ["MixVisionTransformer"]

_GELU = MappingProxyType({"type": "GELU"})
_LN = MappingProxyType({"type": "LN", "eps": 1e-6})


class _Layer(NamedTuple):
    """What the layers of a stage have in common."""

    channels: int
    num_heads: int
    sr_ratio: int
    mlp_ratio: int
    qkv_bias: bool
    drop_rate: float
    attn_drop_rate: float
    with_cp: bool
    act: str | None
    eps: float

    def norm(self) -> nn.LayerNorm:
        return nn.LayerNorm(self.channels, self.eps)


def _map(x: Tensor, sides: Sequence[int]) -> Tensor:
    """``(N, L, D)`` to ``(N, D, h, w)``, contiguous, or gradients of kernels would lie otherwise than DDP's buckets."""
    return x.transpose(1, 2).contiguous().view(x.shape[0], x.shape[2], *sides)  # len() would be one number in a graph


def _positions(x: Tensor) -> Tensor:
    """``(N, D, h, w)`` to ``(N, L, D)``."""
    return x.flatten(2).transpose(1, 2)


def _conv(c_in: int, c_out: int, size: int, *, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(c_in, c_out, size, stride, padding, groups=groups)
    nn.init.normal_(layer.weight, std=math.sqrt(2 * groups / (size * size * c_out)))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _dropout(rate: float) -> nn.Module:
    return nn.Dropout(rate) if rate > 0 else nn.Identity()


def _drop_path(rate: float) -> nn.Module:
    return DropPath(rate) if rate > 0 else nn.Identity()


class _PatchEmbed(nn.Module):
    """Overlapping patches: a convolution, then a norm over the channels of each position."""

    def __init__(self, c_in: int, layer: _Layer, size: int, stride: int) -> None:
        super().__init__()
        self.projection = _conv(c_in, layer.channels, size, stride=stride, padding=size // 2)
        self.norm = layer.norm()

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        x = self.projection(x)
        return self.norm(_positions(x)), x.shape[2:]


class _ReducedAttention(nn.Module):
    """What is added to ``x``: attention to a map whose sides are ``sr_ratio`` times shorter."""

    def __init__(self, layer: _Layer, drop_path: float) -> None:
        super().__init__()
        channels, self.ratio = layer.channels, layer.sr_ratio
        self.attn = Attention(channels, layer.num_heads, bias=layer.qkv_bias, dropout=layer.attn_drop_rate)
        nn.init.trunc_normal_(self.attn.out_proj.weight, std=0.02)
        self.proj_drop = _dropout(layer.drop_rate)
        self.dropout_layer = _drop_path(drop_path)
        if self.ratio > 1:
            self.sr = _conv(channels, channels, self.ratio, stride=self.ratio)
            self.norm = layer.norm()

    def forward(self, x: Tensor, sides: torch.Size) -> Tensor:
        keys = self.norm(_positions(self.sr(_map(x, sides)))) if self.ratio > 1 else x
        out: Tensor = self.dropout_layer(self.proj_drop(self.attn(x, keys)))
        return out


class _MixFFN(nn.Module):
    """What is added to ``x``: two 1 x 1 convolutions, and a depthwise one between them that tells where a position is."""

    def __init__(self, layer: _Layer, drop_path: float) -> None:
        super().__init__()
        channels, wide = layer.channels, layer.mlp_ratio * layer.channels
        self.layers = nn.Sequential(
            _conv(channels, wide, 1),
            _conv(wide, wide, 3, padding=1, groups=wide),
            nn.Identity() if layer.act is None else ACTIVATIONS[layer.act](),
            _dropout(layer.drop_rate),
            _conv(wide, channels, 1),
            _dropout(layer.drop_rate),
        )
        self.dropout_layer = _drop_path(drop_path)

    def forward(self, x: Tensor, sides: torch.Size) -> Tensor:
        out: Tensor = self.dropout_layer(_positions(self.layers(_map(x, sides))))
        return out


class _TransformerLayer(nn.Module):
    def __init__(self, layer: _Layer, drop_path: float) -> None:
        super().__init__()
        self.norm1 = layer.norm()
        self.attn = _ReducedAttention(layer, drop_path)
        self.norm2 = layer.norm()
        self.ffn = _MixFFN(layer, drop_path)
        self.with_cp = layer.with_cp

    def forward(self, x: Tensor, sides: torch.Size) -> Tensor:
        if self.with_cp and torch.is_grad_enabled():
            again: Tensor = checkpoint(self._added, x, sides, use_reentrant=False)
            return again
        return self._added(x, sides)

    def _added(self, x: Tensor, sides: torch.Size) -> Tensor:
        x = x + self.attn(self.norm1(x), sides)
        added: Tensor = x + self.ffn(self.norm2(x), sides)
        return added


class MixVisionTransformer(nn.Module):
    """Images ``(N, 3, H, W)`` to the features of some stages, ``(N, D_i, H / s_i, W / s_i)`` each, sizes rounded up.

    MiT-B0 is ``embed_dims=32, num_layers=(2, 2, 2, 2), num_heads=(1, 2, 5, 8)``; B1 to B5 have 64 and ``(2, 2, 2, 2)``,
    ``(3, 4, 6, 3)``, ``(3, 4, 18, 3)``, ``(3, 8, 27, 3)``, ``(3, 6, 40, 3)``. It begins as MMSegmentation begins it:
    convolutions Kaiming normal over their outputs, of each attention the first layer Xavier, the last normal with a deviation
    of 0.02.

    Dropout and stochastic depth are layers that :func:`rayseg.models.prepare` exchanges by ones that depend on the sample.

    Args:
        embed_dims: D of a head; a stage has as many times that as it has heads.
        num_stages: 1 or more.
        num_layers: transformer layers of each stage.
        num_heads: heads of attention of each stage.
        patch_sizes: kernel of the convolution before each stage in pixels, odd.
        strides: of that convolution.
        sr_ratios: how many times the sides of a stage's map are shortened for keys and values.
        out_indices: stages that give features, counted from 0.
        mlp_ratio: hidden channels of a feed-forward part for each of the stage.
        qkv_bias: whether queries, keys and values have a bias, and with them the last layer of attention.
        drop_rate: probability that a value is dropped after a projection.
        attn_drop_rate: probability that a weight of attention is dropped.
        drop_path_rate: probability that a sample's branch is dropped, in the last layer; from 0 it rises linearly to that.
        act_cfg: ``type`` of the activation of a feed-forward part.
        norm_cfg: ``type: LN`` and the ``eps`` of every norm, added to its variance; 1e-5 where only the type is said.
        with_cp: compute layers again in backward in place of keeping what is in them; the same numbers, less memory.

    Attributes:
        channels: of each feature.

    Raises:
        ConfigError: with every value that cannot be.

    Example:
        >>> net = MixVisionTransformer(embed_dims=4, num_layers=(1, 1, 1, 1))
        >>> [tuple(feature.shape) for feature in net(torch.zeros(1, 3, 64, 96))], net.channels
        ([(1, 4, 16, 24), (1, 8, 8, 12), (1, 16, 4, 6), (1, 32, 2, 3)], (4, 8, 16, 32))
    """

    def __init__(  # noqa: PLR0913
        self,
        embed_dims: int = 64,
        *,
        num_stages: int = 4,
        num_layers: tuple[int, ...] = (3, 4, 6, 3),
        num_heads: tuple[int, ...] = (1, 2, 4, 8),
        patch_sizes: tuple[int, ...] = (7, 3, 3, 3),
        strides: tuple[int, ...] = (4, 2, 2, 2),
        sr_ratios: tuple[int, ...] = (8, 4, 2, 1),
        out_indices: tuple[int, ...] = (0, 1, 2, 3),
        mlp_ratio: int = 4,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        act_cfg: Mapping[str, Any] | None = _GELU,
        norm_cfg: Mapping[str, Any] = _LN,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        stages = {
            "num_layers": num_layers,
            "num_heads": num_heads,
            "patch_sizes": patch_sizes,
            "strides": strides,
            "sr_ratios": sr_ratios,
        }
        rates = {"drop_rate": drop_rate, "attn_drop_rate": attn_drop_rate, "drop_path_rate": drop_path_rate}
        problems = [*_number_faults({"embed_dims": embed_dims, "num_stages": num_stages, "mlp_ratio": mlp_ratio, **stages})]
        problems += [*_rate_faults(rates), *_stage_faults(num_stages, stages, out_indices)]
        problems += [*_norm_faults(norm_cfg)]
        act = activation(act_cfg, "act_cfg", problems)
        if problems:
            raise ConfigError(problems)
        self.out_indices, self.sr_ratios = tuple(out_indices), tuple(sr_ratios)
        widths = [embed_dims * heads for heads in num_heads]
        self.channels = tuple(widths[stage] for stage in out_indices)
        drop_paths = iter(torch.linspace(0, drop_path_rate, sum(num_layers), device="cpu").tolist())
        rest = (mlp_ratio, qkv_bias, drop_rate, attn_drop_rate, with_cp, act, float(norm_cfg.get("eps", 1e-5)))
        self.layers, c_in = nn.ModuleList(), 3
        for width, heads, ratio, size, stride, count in zip(
            widths, num_heads, sr_ratios, patch_sizes, strides, num_layers, strict=True
        ):
            layer = _Layer(width, heads, ratio, *rest)
            blocks = nn.ModuleList(_TransformerLayer(layer, next(drop_paths)) for _ in range(count))
            self.layers.append(nn.ModuleList([_PatchEmbed(c_in, layer, size, stride), blocks, layer.norm()]))
            c_in = width

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of the stages in ``out_indices``, shallow to deep.

        Raises:
            ShapeError: the images are too small for a stage's ``sr_ratios``.
        """
        x, features = images, list[Tensor]()
        for stage, layers in enumerate(self.layers):
            embed, blocks, norm = layers.children()
            x, sides = embed(x)
            self._require(images, stage, sides)
            for block in blocks.children():
                x = block(x, sides)
            x = _map(norm(x), sides)
            if stage in self.out_indices:
                features.append(x)
        return tuple(features)

    def _require(self, images: Tensor, stage: int, sides: torch.Size) -> None:
        if min(sides) < self.sr_ratios[stage]:
            message = f"stage {stage} has {tuple(sides)}, less than its sr_ratio of {self.sr_ratios[stage]}"
            raise ShapeError(f"MixVisionTransformer: got images of {tuple(images.shape[2:])}: {message}; take larger crops")


def _number_faults(values: dict[str, int | tuple[int, ...]]) -> Iterable[Problem]:
    for name, value in values.items():
        if any(number < 1 for number in (value if isinstance(value, tuple) else (value,))):
            yield Problem(name, f"must be at least 1, got {value}")


def _rate_faults(rates: dict[str, float]) -> Iterable[Problem]:
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            yield Problem(name, f"must be at least 0 and below 1, got {rate}")


def _norm_faults(norm_cfg: Mapping[str, Any]) -> Iterator[Problem]:
    """Nothing but layer norms, which learn."""
    wanted = {"type": "LN", "requires_grad": True}
    for name, value in {"type": None, **norm_cfg}.items():
        if name == "eps" and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
            yield Problem("norm_cfg.eps", f"must be a number above 0, got {value!r}")
        elif name != "eps" and wanted.get(name) != value:
            expected = f"expected {wanted[name]}" if name in wanted else "and there is only type and eps; remove it"
            yield Problem(f"norm_cfg.{name}", f"got {value!r}, {expected}")


def _stage_faults(num_stages: int, stages: dict[str, tuple[int, ...]], out_indices: tuple[int, ...]) -> Iterable[Problem]:
    for name, values in stages.items():
        if len(values) != num_stages:
            yield Problem(name, f"got {len(values)} values, expected {num_stages}, one for each stage")
    if any(size % 2 == 0 for size in stages["patch_sizes"]):
        yield Problem("patch_sizes", f"must be odd, got {list(stages['patch_sizes'])}")
    if not out_indices or list(out_indices) != sorted(set(out_indices)) or not set(out_indices) <= set(range(num_stages)):
        message = f"got {list(out_indices)}, expected stages from 0 to {num_stages - 1}, ascending, each once"
        yield Problem("out_indices", message)
    elif out_indices[-1] != num_stages - 1:
        message = f"stages after {out_indices[-1]} would not be used; set num_stages to {out_indices[-1] + 1}, or take them"
        yield Problem("out_indices", message)
