"""The head of UPerNet (Xiao et al., 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rayseg.models.mmseg.conv import ConvModule, class_layer, dropout2d, resize
from rayseg.models.mmseg.feature import require
from rayseg.models.mmseg.inputs import SeveralInputs
from rayseg.models.mmseg.psp import PyramidPooling

__all__ = ["UPerHead"]


class UPerHead(nn.Module):
    """Pyramid pooling on the deepest feature, and a pyramid of features on top: features to logits ``(N, C, h, w)``.

    Args:
        num_classes: C.
        feature_channels: of every feature of the backbone.
        channels: of every level and of what joins them.
        in_channels: of these features, checked where they are given.
        in_index: which features, shallow to deep; the logits have the stride of the first. All of them unless said.
        pool_scales: cells along each side of the grids over the deepest.
        dropout_ratio: probability that a channel is dropped before the last layer.
        align_corners: how features are brought to each other's size, and the logits to that of the image.

    Raises:
        ConfigError: a value that cannot be, or another number of channels.

    Example:
        >>> UPerHead(5, (8, 16), channels=4)([torch.zeros(2, 8, 6, 6), torch.zeros(2, 16, 3, 3)]).shape
        torch.Size([2, 5, 6, 6])
    """

    def __init__(
        self,
        num_classes: int,
        feature_channels: Sequence[int],
        *,
        channels: int,
        in_channels: int | tuple[int, ...] | None = None,
        in_index: int | tuple[int, ...] | None = None,
        pool_scales: tuple[int, ...] = (1, 2, 3, 6),
        dropout_ratio: float = 0.1,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        require(channels=channels, pool_scales=pool_scales, dropout_ratio=dropout_ratio)
        self.take = SeveralInputs(feature_channels, in_index, in_channels)
        self.align_corners = align_corners
        *others, deepest = self.take.channels
        self.conv_seg = class_layer(channels, num_classes)
        self.dropout = dropout2d(dropout_ratio)
        self.psp_modules = PyramidPooling(deepest, channels, pool_scales, align_corners=align_corners)
        self.bottleneck = ConvModule(deepest + len(pool_scales) * channels, channels, 3)
        self.lateral_convs = nn.ModuleList(ConvModule(c_in, channels, 1) for c_in in others)
        self.fpn_convs = nn.ModuleList(ConvModule(channels, channels, 3) for _ in others)
        self.fpn_bottleneck = ConvModule(len(self.take.channels) * channels, channels, 3)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits at the stride of the first feature."""
        *others, deepest = self.take(features)
        levels = [self.bottleneck(self.psp_modules(deepest))]
        for conv, x in zip(reversed(self.lateral_convs), reversed(others), strict=True):
            levels.append(conv(x) + self._resized(levels[-1], x))
        top, *rest = levels
        levels = [*(conv(x) for conv, x in zip(self.fpn_convs, reversed(rest), strict=True)), top]
        joined = torch.cat([self._resized(x, levels[0]) for x in levels], dim=1)
        logits: Tensor = self.conv_seg(self.dropout(self.fpn_bottleneck(joined)))
        return logits

    def _resized(self, x: Tensor, like: Tensor) -> Tensor:
        return resize(x, like.shape[2:], align_corners=self.align_corners)
