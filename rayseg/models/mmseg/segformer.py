"""The head of SegFormer (Xie et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.models.mmseg.conv import ConvModule, class_layer, dropout2d, resize
from rayseg.models.mmseg.feature import require
from rayseg.models.mmseg.inputs import SeveralInputs

__all__ = ["SegformerHead", "bicubic"]


def _weights(size: int, wanted: int, like: Tensor, *, align_corners: bool) -> Tensor:
    """``(wanted, size)``: row i has the weights of what is interpolated at i, those of ``F.interpolate`` along one side."""
    points = torch.eye(size, device=like.device, dtype=torch.promote_types(like.dtype, torch.float32))
    return F.interpolate(points[None, None], (wanted, size), mode="bicubic", align_corners=align_corners)[0, 0]


def bicubic(x: Tensor, size: Sequence[int], *, align_corners: bool) -> Tensor:
    """``(N, C, h, w)`` to ``(N, C, *size)`` by products of matrices; of torch's own there is no deterministic gradient on GPUs.

    Example:
        >>> bicubic(torch.ones(1, 2, 3, 3), (4, 5), align_corners=False).shape
        torch.Size([1, 2, 4, 5])
    """
    rows, columns = (
        _weights(given, wanted, x, align_corners=align_corners) for given, wanted in zip(x.shape[2:], size, strict=True)
    )
    with torch.autocast(x.device.type, enabled=False):
        return (rows @ x.to(rows.dtype) @ columns.T).to(x.dtype)


class SegformerHead(nn.Module):
    """Every feature to the same channels and to the size of the first, then joined: features to logits ``(N, C, h, w)``.

    Args:
        num_classes: C.
        feature_channels: of every feature of the backbone.
        channels: to which each feature is brought, and what joins them.
        in_channels: of these features, checked where they are given.
        in_index: which features; the logits have the stride of the first. All of them unless said.
        dropout_ratio: probability that a channel is dropped before the last layer.
        interpolate_mode: how features are brought to a size.
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
        enlarge = bicubic if self.interpolate_mode == "bicubic" else resize
        return enlarge(x, like.shape[2:], align_corners=self.align_corners)
