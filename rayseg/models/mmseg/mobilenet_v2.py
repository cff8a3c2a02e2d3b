"""MobileNetV2 (Sandler et al., 2018) with MMSegmentation's names of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from rayseg.errors import ConfigError, Problem
from rayseg.models.mmseg.conv import ConvModule, activation
from rayseg.models.mmseg.feature import divisible, list_faults, out_faults

__all__ = ["MobileNetV2"]

#: Expansion, channels and number of blocks of each layer (table 2 of the paper).
_LAYERS = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
_RELU6 = MappingProxyType({"type": "ReLU6"})


class _InvertedResidual(nn.Module):
    """1 x 1 to more channels, 3 x 3 of each alone, 1 x 1 back without an activation; beside it the input where it fits."""

    def __init__(self, c_in: int, c_out: int, stride: int, dilation: int, expansion: int, act: str | None) -> None:
        super().__init__()
        inner = c_in * expansion
        first = [] if expansion == 1 else [ConvModule(c_in, inner, 1, act=act)]
        depthwise = ConvModule(inner, inner, 3, stride=stride, dilation=dilation, groups=inner, act=act)
        self.conv = nn.Sequential(*first, depthwise, ConvModule(inner, c_out, 1, act=None))
        self.has_skip = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.has_skip else out


class MobileNetV2(nn.Module):
    """Images ``(N, 3, H, W)`` to the features of some layers, ``(N, C_i, H / s_i, W / s_i)`` each, sizes rounded up.

    Output stride 8, as in MMSegmentation's config files, is ``strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 4, 4)``.

    Args:
        widen_factor: times which every layer has its channels, rounded to multiples of 8.
        strides: of the first block of each of the seven layers, 1 or 2; the stem has a stride of 2 by itself.
        dilations: of the first block of each layer.
        out_indices: layers that give features, counted from 0; the last layer is one of them.
        act_cfg: ``type`` of the activation; None: there is none.

    Attributes:
        channels: of each feature.

    Raises:
        ConfigError: with every value that cannot be.

    Example:
        >>> import torch
        >>> net = MobileNetV2(0.25, strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 4, 4))
        >>> [tuple(feature.shape) for feature in net(torch.zeros(1, 3, 64, 64))], net.channels
        ([(1, 8, 16, 16), (1, 8, 8, 8), (1, 24, 8, 8), (1, 80, 8, 8)], (8, 8, 24, 80))
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        *,
        strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1),
        dilations: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 1),
        out_indices: tuple[int, ...] = (1, 2, 4, 6),
        act_cfg: Mapping[str, Any] | None = _RELU6,
    ) -> None:
        super().__init__()
        faults = [Problem("widen_factor", f"must be above 0, got {widen_factor}")] if not widen_factor > 0 else []
        faults += list_faults(len(_LAYERS), "layer", {"strides": (strides, (1, 2)), "dilations": (dilations, None)})
        faults += out_faults(out_indices, len(_LAYERS))
        act = activation(act_cfg, "act_cfg", faults)
        if faults:
            raise ConfigError(faults)
        self.out_indices = tuple(out_indices)
        c_in = divisible(32 * widen_factor)
        self.conv1 = ConvModule(3, c_in, 3, stride=2, act=act)
        widths = [divisible(channels * widen_factor) for _, channels, _ in _LAYERS]
        for index, (expansion, _, count) in enumerate(_LAYERS):
            first = _InvertedResidual(c_in, widths[index], strides[index], dilations[index], expansion, act)
            others = (_InvertedResidual(widths[index], widths[index], 1, 1, expansion, act) for _ in range(count - 1))
            self.add_module(f"layer{index + 1}", nn.Sequential(first, *others))
            c_in = widths[index]
        self.channels = tuple(widths[index] for index in self.out_indices)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of the layers in ``out_indices``, shallow to deep."""
        x, features = self.conv1(images), list[Tensor]()
        for index in range(len(_LAYERS)):
            x = self.get_submodule(f"layer{index + 1}")(x)
            if index in self.out_indices:
                features.append(x)
        return tuple(features)
