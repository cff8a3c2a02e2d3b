"""The head of SegFormer (Xie et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.models.mmseg.conv import ConvModule, class_layer, dropout2d
from rayseg.models.mmseg.feature import require
from rayseg.models.mmseg.inputs import SeveralInputs

__all__ = ["SegformerHead"]


class SegformerHead(nn.Module):
    """Every feature to the same channels and to the size of the first, then joined: features to logits ``(N, C, h, w)``.

    Args:
        num_classes: C.
        feature_channels: of every feature of the backbone.
        channels: to which each feature is brought, and what joins them.
        in_channels: of these features, checked where they are given.
        in_index: which features; the logits have the stride of the first. All of them unless said.
        dropout_ratio: probability that a channel is dropped before the last layer.
        interpolate_mode: how features are brought to a size; PyTorch has no deterministic gradient of ``bicubic`` on GPUs.
        align_corners: of that, and how the logits are brought to the size of the image; see :class:`EncoderDecoder`.

    Raises:
        ConfigError: a value that cannot be, or another number of channels.

    Example:
        >>> SegformerHead(5, (8, 16), channels=4)([torch.zeros(2, 8, 6, 6), torch.zeros(2, 16, 3, 3)]).shape
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
        dropout_ratio: float = 0.1,
        interpolate_mode: Literal["bilinear", "bicubic"] = "bilinear",
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        require(channels=channels, dropout_ratio=dropout_ratio)
        self.take = SeveralInputs(feature_channels, in_index, in_channels)
        self.interpolate_mode, self.align_corners = interpolate_mode, align_corners
        self.conv_seg = class_layer(channels, num_classes)
        self.dropout = dropout2d(dropout_ratio)
        self.convs = nn.ModuleList(ConvModule(c_in, channels, 1) for c_in in self.take.channels)
        self.fusion_conv = ConvModule(len(self.convs) * channels, channels, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits at the stride of the first feature."""
        taken = self.take(features)
        brought = [self._resized(conv(x), taken[0]) for conv, x in zip(self.convs, taken, strict=True)]
        logits: Tensor = self.conv_seg(self.dropout(self.fusion_conv(torch.cat(brought, dim=1))))
        return logits

    def _resized(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, like.shape[2:], mode=self.interpolate_mode, align_corners=self.align_corners)
