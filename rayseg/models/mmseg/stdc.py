"""STDC networks (Fan et al., 2021, "Rethinking BiSeNet For Real-time Semantic Segmentation") with MMSegmentation's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.errors import ConfigError, Problem
from rayseg.models.mmseg.conv import ConvModule
from rayseg.models.mmseg.fcn import FCNHead
from rayseg.models.mmseg.feature import require
from rayseg.models.mmseg.parts import bound, made

__all__ = ["STDCContextPathNet", "STDCNet", "stdc_head"]

_STRIDES: Mapping[str, Sequence[Sequence[int]]] = MappingProxyType(
    {"STDCNet1": ((2, 1), (2, 1), (2, 1)), "STDCNet2": ((2, 1, 1, 1), (2, 1, 1, 1, 1), (2, 1, 1))}
)


class _Module(nn.Module):
    """Convolutions of ever fewer channels, each on the one before, and all of them beside each other."""

    def __init__(self, c_in: int, c_out: int, stride: int, num_convs: int) -> None:
        super().__init__()
        half = c_out // 2
        widths = [c_out // 2 ** min(index + 1, num_convs - 1) for index in range(num_convs)]
        self.layers = nn.ModuleList([ConvModule(c_in, half, 1)])
        for index, width in enumerate(widths[1:], start=1):
            self.layers.append(ConvModule(widths[index - 1], width, 3))
        self.downsample = ConvModule(half, half, 3, stride=2, groups=half, act=None) if stride == 2 else None
        self.skip = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        first = self.layers[0](x)
        outs = [first if self.skip is None else self.skip(first)]
        x = first if self.downsample is None else self.downsample(first)
        for layer in list(self.layers)[1:]:
            x = layer(x)
            outs.append(x)
        return torch.cat(outs, dim=1)


class STDCNet(nn.Module):
    """Images ``(N, 3, H, W)`` to features at strides 8, 16 and 32, sizes rounded up.

    Args:
        stdc_type: ``STDCNet1``, or ``STDCNet2`` with more modules.
        channels: of the five stages.
        bottleneck_type: how a module joins its convolutions: beside each other.
        num_convs: convolutions of a module.
        with_final_conv: one more 1 x 1 convolution on the last feature.

    Attributes:
        channels: of each feature.

    Raises:
        ConfigError: a value that cannot be.

    Example:
        >>> net = STDCNet("STDCNet1", (4, 8, 16, 32, 64))
        >>> [tuple(feature.shape) for feature in net(torch.zeros(1, 3, 64, 64))]
        [(1, 16, 8, 8), (1, 32, 4, 4), (1, 64, 2, 2)]
    """

    def __init__(
        self,
        stdc_type: Literal["STDCNet1", "STDCNet2"] = "STDCNet1",
        channels: tuple[int, ...] = (32, 64, 256, 512, 1024),
        *,
        bottleneck_type: Literal["cat"] = "cat",
        num_convs: int = 4,
        with_final_conv: bool = False,
    ) -> None:
        super().__init__()
        assert bottleneck_type == "cat"
        _require_widths(channels, num_convs)
        first, second, *deeper = channels
        self.stages = nn.ModuleList([ConvModule(3, first, 3, stride=2), ConvModule(first, second, 3, stride=2)])
        for c_in, c_out, strides in zip(channels[1:], deeper, _STRIDES[stdc_type], strict=False):
            inputs = [c_in, *[c_out] * (len(strides) - 1)]
            modules = (_Module(each, c_out, stride, num_convs) for each, stride in zip(inputs, strides, strict=True))
            self.stages.append(nn.Sequential(*modules))
        last = max(1024, channels[-1]) if with_final_conv else channels[-1]
        self.final_conv = ConvModule(channels[-1], last, 1) if with_final_conv else None
        self.channels = (*deeper[:-1], last)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features, shallow to deep."""
        x, features = images, list[Tensor]()
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        if self.final_conv is not None:
            features[-1] = self.final_conv(features[-1])
        return tuple(features[2:])


def _require_widths(channels: Sequence[int], num_convs: int) -> None:
    problems = []
    if len(channels) != 5:
        problems.append(Problem("channels", f"got {len(channels)} values, expected 5, one for each stage"))
    if num_convs < 2:
        problems.append(Problem("num_convs", f"must be at least 2, got {num_convs}"))
    elif any(width < 1 or (stage > 1 and width % 2 ** (num_convs - 1)) for stage, width in enumerate(channels)):
        message = (
            f"got {list(channels)}; the last three must be multiples of {2 ** (num_convs - 1)}, which modules divide them by"
        )
        problems.append(Problem("channels", message))
    if problems:
        raise ConfigError(problems)


class _Attention(nn.Module):
    """A 3 x 3 convolution, gated by its own average."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_layer = ConvModule(c_in, c_out, 3)
        self.atten_conv_layer = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvModule(c_out, c_out, 1, act=None), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_layer(x)
        gated: Tensor = x * self.atten_conv_layer(x)
        return gated


class _Fusion(nn.Module):
    """A 1 x 1 convolution over both, and itself gated by its own average."""

    def __init__(self, c_in: int, c_out: int, scale_factor: int) -> None:
        super().__init__()
        inner = c_out // scale_factor
        self.conv0 = ConvModule(c_in, c_out, 1)
        gate = [ConvModule(c_out, inner, 1, norm=False), ConvModule(inner, c_out, 1, norm=False, act=None)]
        self.attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), *gate, nn.Sigmoid())

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        x = self.conv0(torch.cat([spatial, context], dim=1))
        fused: Tensor = x * self.attention(x) + x
        return fused


_NET = MappingProxyType({"type": "STDCNet"})
_FFM = MappingProxyType({"out_channels": 256, "scale_factor": 4})


class STDCContextPathNet(nn.Module):
    """An STDCNet with its context path: images to four features at strides 8, 16, 8 and 8.

    They are the net's own at stride 8 (for detail guidance), two of the path (for auxiliary heads), and the fusion.

    Args:
        backbone_cfg: ``type: STDCNet`` and its arguments.
        last_in_channels: of the net's last two features, deepest first; checked where it is given.
        out_channels: of the path.
        ffm_cfg: ``out_channels`` and ``scale_factor`` of the fusion, ``in_channels`` is checked.
        upsample_mode: how the path grows.

    Attributes:
        channels: of each feature.

    Raises:
        ConfigError: with every fault of the dicts, or other numbers of channels.

    Example:
        >>> net = STDCContextPathNet({"type": "STDCNet", "channels": [4, 8, 16, 32, 64]}, out_channels=8)
        >>> [tuple(feature.shape) for feature in net(torch.zeros(2, 3, 64, 64))]
        [(2, 16, 8, 8), (2, 8, 4, 4), (2, 8, 8, 8), (2, 256, 8, 8)]
    """

    def __init__(
        self,
        backbone_cfg: Mapping[str, Any] = _NET,
        *,
        last_in_channels: tuple[int, int] | None = None,
        out_channels: int = 128,
        ffm_cfg: Mapping[str, int] = _FFM,
        upsample_mode: Literal["nearest"] = "nearest",
    ) -> None:
        super().__init__()
        require(out_channels=out_channels)
        problems: list[Problem] = []
        net = made(bound({"STDCNet": STDCNet}, backbone_cfg, "backbone_cfg", problems), "backbone_cfg", problems)
        if net is None:
            raise ConfigError(problems)
        shallow, middle, deep = net.channels
        if last_in_channels not in {None, (deep, middle)}:
            problems.append(Problem("last_in_channels", f"got {last_in_channels}, and the features have {(deep, middle)}"))
        fused, scale = _fusion_sizes({**_FFM, **ffm_cfg}, shallow + out_channels, problems)
        if problems:
            raise ConfigError(problems)
        self.backbone, self.upsample_mode = net, upsample_mode
        self.arms = nn.ModuleList(_Attention(each, out_channels) for each in (deep, middle))
        self.convs = nn.ModuleList(ConvModule(out_channels, out_channels, 3) for _ in range(2))
        self.conv_avg = ConvModule(deep, out_channels, 1)
        self.ffm = _Fusion(shallow + out_channels, fused, scale)
        self.channels = (shallow, out_channels, out_channels, fused)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The four features."""
        shallow, middle, deep = self.backbone(images)
        up = self._resized(self.conv_avg(F.adaptive_avg_pool2d(deep, 1)), deep)
        path = []
        for arm, conv, feature, finer in zip(self.arms, self.convs, (deep, middle), (middle, shallow), strict=True):
            up = conv(self._resized(arm(feature) + up, finer))
            path.append(up)
        return (shallow, *path, self.ffm(shallow, path[1]))

    def _resized(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, like.shape[-2:], mode=self.upsample_mode)


def _fusion_sizes(written: Mapping[str, int], c_in: int, problems: list[Problem]) -> tuple[int, int]:
    """Channels and divisor of the fusion."""
    known = ("in_channels", "out_channels", "scale_factor")
    problems += [
        Problem(f"ffm_cfg.{name}", f"no such argument; there are {', '.join(known)}") for name in written if name not in known
    ]
    if written.get("in_channels", c_in) != c_in:
        problems.append(
            Problem("ffm_cfg.in_channels", f"got {written['in_channels']}, and {c_in} channels come in; leave it out")
        )
    fused, scale = written["out_channels"], written["scale_factor"]
    if fused < 1 or scale < 1 or fused < scale:
        problems.append(Problem("ffm_cfg.scale_factor", f"must be from 1 to out_channels, {fused}; got {scale}"))
    return fused, scale


def stdc_head(
    num_classes: int,
    feature_channels: Sequence[int],
    *,
    channels: int,
    in_channels: int | tuple[int, ...] | None = None,
    in_index: int | tuple[int, ...] = -1,
    input_transform: Literal["resize_concat"] | None = None,
    num_convs: int = 2,
    concat_input: bool = True,
    dropout_ratio: float = 0.1,
    align_corners: bool = False,
) -> FCNHead:
    """The ``STDCHead``: an :class:`FCNHead` for a map of details, with the two constants that published weights hold.

    The map itself is a target of the head: ``heads.<name>.target: {type: stdc_detail}``, where its threshold is.

    Args:
        num_classes: of the target, 2 as published.
        feature_channels: of every feature of the backbone.
        channels: of the convolutions.
        in_channels: of the feature, or of each, checked where it is given.
        in_index: which feature, or with ``input_transform`` which features.
        input_transform: ``resize_concat`` takes several features as one; see :class:`OneInput`.
        num_convs: convolutions before the last.
        concat_input: one more convolution on the feature and what came out of the others.
        dropout_ratio: probability that a channel is dropped before the last layer.
        align_corners: how the logits are brought to the size of the image.

    Raises:
        ConfigError: a value that cannot be, or another number of channels.

    Example:
        >>> head = stdc_head(2, (16, 8), channels=4, in_index=0)
        >>> [name for name, _ in head.named_buffers() if "." not in name], head.get_parameter("fusion_kernel").requires_grad
        (['laplacian_kernel'], False)
    """
    head = FCNHead(
        num_classes,
        feature_channels,
        channels=channels,
        in_channels=in_channels,
        in_index=in_index,
        input_transform=input_transform,
        num_convs=num_convs,
        concat_input=concat_input,
        dropout_ratio=dropout_ratio,
        align_corners=align_corners,
    )
    laplacian = torch.full((1, 1, 3, 3), -1.0)
    laplacian[0, 0, 1, 1] = 8.0
    head.register_buffer("laplacian_kernel", laplacian)
    fusion = torch.tensor([0.6, 0.3, 0.1]).reshape(1, 3, 1, 1)
    head.register_parameter("fusion_kernel", nn.Parameter(fusion, requires_grad=False))
    return head
