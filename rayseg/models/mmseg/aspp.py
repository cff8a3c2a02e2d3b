"""The heads of DeepLabV3 (Chen et al., 2017) and DeepLabV3+ (Chen et al., 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from rayseg.errors import ConfigError, Problem
from rayseg.models.mmseg.conv import ConvModule, class_layer, dropout2d, resize, separable
from rayseg.models.mmseg.feature import picked, require
from rayseg.models.mmseg.inputs import OneInput

__all__ = ["ASPPHead", "DepthwiseSeparableASPPHead"]


def _image_pool(c_in: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvModule(c_in, channels, 1))


def _dilated(c_in: int, channels: int, dilation: int) -> ConvModule:
    return ConvModule(c_in, channels, 1 if dilation == 1 else 3, dilation=dilation)


def _joined(x: Tensor, image_pool: nn.Module, branches: nn.ModuleList, *, align_corners: bool) -> Tensor:
    """The image's average and every branch, beside each other."""
    whole = resize(image_pool(x), x.shape[-2:], align_corners=align_corners)
    return torch.cat([whole, *(branch(x) for branch in branches)], dim=1)


class ASPPHead(nn.Module):
    """Dilated convolutions beside the image's average: features to logits ``(N, C, h, w)`` at the feature's stride.

    Args:
        num_classes: C.
        feature_channels: of every feature of the backbone.
        channels: of every branch and of what joins them.
        in_channels: of the feature, or of each, checked where it is given.
        in_index: which feature, or with ``input_transform`` which features.
        input_transform: ``resize_concat`` takes several features as one; see :class:`OneInput`.
        dilations: of the branches; one with dilation 1 is a 1 x 1 convolution.
        dropout_ratio: probability that a channel is dropped before the last layer.
        align_corners: how the average is brought to the feature's size, and the logits to that of the image.

    Raises:
        ConfigError: a value that cannot be, or another number of channels.

    Example:
        >>> ASPPHead(5, (16,), channels=4)([torch.zeros(2, 16, 9, 9)]).shape
        torch.Size([2, 5, 9, 9])
    """

    def __init__(
        self,
        num_classes: int,
        feature_channels: Sequence[int],
        *,
        channels: int,
        in_channels: int | tuple[int, ...] | None = None,
        in_index: int | tuple[int, ...] = -1,
        input_transform: Literal["resize_concat"] | None = None,
        dilations: tuple[int, ...] = (1, 6, 12, 18),
        dropout_ratio: float = 0.1,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        require(channels=channels, dilations=dilations, dropout_ratio=dropout_ratio)
        self.take = OneInput(feature_channels, in_index, in_channels, input_transform, align_corners=align_corners)
        c_in = self.take.channels
        self.align_corners = align_corners
        self.conv_seg = class_layer(channels, num_classes)
        self.dropout = dropout2d(dropout_ratio)
        self.image_pool = _image_pool(c_in, channels)
        self.aspp_modules = nn.ModuleList(_dilated(c_in, channels, dilation) for dilation in dilations)
        self.bottleneck = ConvModule((len(dilations) + 1) * channels, channels, 3)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits at the stride of the feature."""
        x = self.take(features)
        joined = _joined(x, self.image_pool, self.aspp_modules, align_corners=self.align_corners)
        logits: Tensor = self.conv_seg(self.dropout(self.bottleneck(joined)))
        return logits


class DepthwiseSeparableASPPHead(nn.Module):
    """As :class:`ASPPHead`, separable, then joined to the first feature: logits ``(N, C, h, w)`` at that one's stride.

    Args:
        num_classes: C.
        feature_channels: of every feature of the backbone.
        channels: of every branch and of what joins them.
        c1_channels: to which the first feature is brought.
        c1_in_channels: of the first feature, checked where it is given; 0: it is not joined, and ``c1_channels`` must be 0.
        in_channels: of the feature, or of each, checked where it is given.
        in_index: which feature the branches take, or with ``input_transform`` which features.
        input_transform: ``resize_concat`` takes several features as one; see :class:`OneInput`.
        dilations: of the branches; one with dilation 1 is a 1 x 1 convolution.
        dropout_ratio: probability that a channel is dropped before the last layer.
        align_corners: how features are brought to each other's size, and the logits to that of the image.

    Raises:
        ConfigError: a value that cannot be, or another number of channels.

    Example:
        >>> head = DepthwiseSeparableASPPHead(5, (8, 16), channels=4, c1_channels=2)
        >>> head([torch.zeros(2, 8, 18, 18), torch.zeros(2, 16, 9, 9)]).shape
        torch.Size([2, 5, 18, 18])
    """

    def __init__(  # noqa: PLR0913
        self,
        num_classes: int,
        feature_channels: Sequence[int],
        *,
        channels: int,
        c1_channels: int,
        c1_in_channels: int | None = None,
        in_channels: int | tuple[int, ...] | None = None,
        in_index: int | tuple[int, ...] = -1,
        input_transform: Literal["resize_concat"] | None = None,
        dilations: tuple[int, ...] = (1, 6, 12, 18),
        dropout_ratio: float = 0.1,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        require(channels=channels, dilations=dilations, dropout_ratio=dropout_ratio)
        self.take = OneInput(feature_channels, in_index, in_channels, input_transform, align_corners=align_corners)
        c_in = self.take.channels
        if (c1_channels == 0) != (c1_in_channels == 0) or c1_channels < 0:
            message = f"got {c1_channels} with c1_in_channels {c1_in_channels}; set both to 0, or neither"
            raise ConfigError([Problem("c1_channels", message)])
        c1_in = 0 if c1_in_channels == 0 else picked(feature_channels, 0, c1_in_channels, "c1_in_channels")
        self.align_corners = align_corners
        self.conv_seg = class_layer(channels, num_classes)
        self.dropout = dropout2d(dropout_ratio)
        self.image_pool = _image_pool(c_in, channels)
        self.aspp_modules = nn.ModuleList(
            _dilated(c_in, channels, 1) if dilation == 1 else separable(c_in, channels, dilation=dilation)
            for dilation in dilations
        )
        self.bottleneck = ConvModule((len(dilations) + 1) * channels, channels, 3)
        self.c1_bottleneck = ConvModule(c1_in, c1_channels, 1) if c1_in else None
        self.sep_bottleneck = nn.Sequential(separable(channels + c1_channels, channels), separable(channels, channels))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits at the stride of the first feature."""
        x = self.take(features)
        out = self.bottleneck(_joined(x, self.image_pool, self.aspp_modules, align_corners=self.align_corners))
        if self.c1_bottleneck is not None:
            detail = self.c1_bottleneck(features[0])
            out = torch.cat([resize(out, detail.shape[-2:], align_corners=self.align_corners), detail], dim=1)
        logits: Tensor = self.conv_seg(self.dropout(self.sep_bottleneck(out)))
        return logits
