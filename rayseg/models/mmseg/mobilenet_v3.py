"""MobileNetV3 (Howard et al., 2019) at output stride 8, with MMSegmentation's names of parameters.

Convolutions of stride 2 pad as TensorFlow's ``SAME`` does: on even sizes nothing before and one pixel after, where
torchvision's pads both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from torch import Tensor, nn

from rayseg.errors import ConfigError, Problem
from rayseg.models.mmseg.conv import ConvModule
from rayseg.models.mmseg.feature import divisible, out_faults

__all__ = ["MobileNetV3"]

Arch = Literal["small", "large"]


class _Row(NamedTuple):
    """A block, as in tables 1 and 2 of the paper."""

    size: int
    inner: int
    c_out: int
    gated: bool
    act: str
    stride: int


# fmt: off
_ROWS: Mapping[str, Sequence[_Row]] = MappingProxyType(
    {
        "small": (
            _Row(3, 16, 16, True, "ReLU", 2),
            _Row(3, 72, 24, False, "ReLU", 2), _Row(3, 88, 24, False, "ReLU", 1),
            _Row(5, 96, 40, True, "HSwish", 2), _Row(5, 240, 40, True, "HSwish", 1), _Row(5, 240, 40, True, "HSwish", 1),
            _Row(5, 120, 48, True, "HSwish", 1), _Row(5, 144, 48, True, "HSwish", 1),
            _Row(5, 288, 96, True, "HSwish", 2), _Row(5, 576, 96, True, "HSwish", 1), _Row(5, 576, 96, True, "HSwish", 1),
        ),
        "large": (
            _Row(3, 16, 16, False, "ReLU", 1),
            _Row(3, 64, 24, False, "ReLU", 2), _Row(3, 72, 24, False, "ReLU", 1),
            _Row(5, 72, 40, True, "ReLU", 2), _Row(5, 120, 40, True, "ReLU", 1), _Row(5, 120, 40, True, "ReLU", 1),
            _Row(3, 240, 80, False, "HSwish", 2), _Row(3, 200, 80, False, "HSwish", 1),
            _Row(3, 184, 80, False, "HSwish", 1), _Row(3, 184, 80, False, "HSwish", 1),
            _Row(3, 480, 112, True, "HSwish", 1), _Row(3, 672, 112, True, "HSwish", 1),
            _Row(5, 672, 160, True, "HSwish", 2), _Row(5, 960, 160, True, "HSwish", 1), _Row(5, 960, 160, True, "HSwish", 1),
        ),
    }
)
# fmt: on
#: Channels of the last layer.
_LAST = MappingProxyType({"small": 576, "large": 960})
_MAX_STRIDE = 8


class _Gate(nn.Module):
    """Channels weighted by what their averages say (Hu et al., 2018), with a hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = divisible(channels // 4)
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = ConvModule(channels, inner, 1, bias=True, norm=False)
        self.conv2 = ConvModule(inner, channels, 1, bias=True, norm=False, act="HSigmoid")

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.conv2(self.conv1(self.global_avgpool(x)))
        return x * weight


class _Block(nn.Module):
    """An inverted residual with a gate; one whose stride became a dilation has no path beside it."""

    def __init__(self, c_in: int, row: _Row, stride: int, dilation: int) -> None:
        super().__init__()
        inner = row.inner
        self.expand_conv = None if c_in == inner else ConvModule(c_in, inner, 1, act=row.act)
        self.depthwise_conv = ConvModule(
            inner, inner, row.size, stride=stride, dilation=dilation, groups=inner, same=stride == 2, act=row.act
        )
        self.se = _Gate(inner) if row.gated else None
        self.linear_conv = ConvModule(inner, row.c_out, 1, act=None)
        self.has_skip = row.stride == 1 and c_in == row.c_out

    def forward(self, x: Tensor) -> Tensor:
        inner = self.depthwise_conv(x if self.expand_conv is None else self.expand_conv(x))
        out: Tensor = self.linear_conv(inner if self.se is None else self.se(inner))
        return x + out if self.has_skip else out


class MobileNetV3(nn.Module):
    """Images ``(N, 3, H, W)`` to the features of some layers, ``(N, C_i, H / s_i, W / s_i)`` each, sizes rounded up.

    Strides beyond 8 are dilations. Layer 0 is the stem, the last one (12 of ``small``, 16 of ``large``) a 1 x 1 convolution.
    MMSegmentation's config files give its norms ``norm_cfg: {eps: 0.001}``.

    Args:
        arch: ``small`` or ``large``.
        out_indices: layers that give features; the last layer is one of them.
        reduction_factor: by which the channels of the blocks at a stride of 32 are divided, rounded down.

    Attributes:
        channels: of each feature.

    Raises:
        ConfigError: with every value that cannot be.

    Example:
        >>> import torch
        >>> net = MobileNetV3("small")
        >>> [tuple(feature.shape) for feature in net(torch.zeros(1, 3, 64, 64))], net.channels
        ([(1, 16, 32, 32), (1, 16, 16, 16), (1, 576, 8, 8)], (16, 16, 576))
        >>> MobileNetV3("large")
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 1 problem in experiment config
          out_indices: layers after 12 would not be used; add 16, the last one
    """

    def __init__(self, arch: Arch = "small", *, out_indices: tuple[int, ...] = (0, 1, 12), reduction_factor: int = 1) -> None:
        super().__init__()
        faults = out_faults(out_indices, len(_ROWS[arch]) + 2)
        rows = _reduced(_ROWS[arch], reduction_factor, faults)
        if faults:
            raise ConfigError(faults)
        self.out_indices, self.num_layers = tuple(out_indices), len(rows) + 2
        self.layer0 = ConvModule(3, 16, 3, stride=2, same=True, act="HSwish")
        c_in, stride = 16, 2
        for index, row in enumerate(rows, start=1):
            stride *= row.stride
            own = row.stride if stride <= _MAX_STRIDE else 1
            self.add_module(f"layer{index}", _Block(c_in, row, own, max(1, stride // _MAX_STRIDE)))
            c_in = row.c_out
        self.add_module(f"layer{len(rows) + 1}", ConvModule(c_in, _LAST[arch], 1, act="HSwish"))
        widths = (16, *(row.c_out for row in rows), _LAST[arch])
        self.channels = tuple(widths[index] for index in self.out_indices)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of the layers in ``out_indices``, shallow to deep."""
        x, features = images, list[Tensor]()
        for index in range(self.num_layers):
            x = self.get_submodule(f"layer{index}")(x)
            if index in self.out_indices:
                features.append(x)
        return tuple(features)


def _reduced(rows: Sequence[_Row], factor: int, faults: list[Problem]) -> list[_Row]:
    """The rows with fewer channels from the last stride on."""
    first = max(index for index, row in enumerate(rows) if row.stride > 1)
    if not 1 <= factor <= rows[first].c_out:
        faults.append(Problem("reduction_factor", f"must be from 1 to {rows[first].c_out}, got {factor}"))
        return []
    tail = [row._replace(inner=row.inner // factor, c_out=row.c_out // factor) for row in rows[first:]]
    return [*rows[:first], *tail]
