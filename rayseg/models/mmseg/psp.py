"""The pyramid pooling head of PSPNet (Zhao et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from rayseg.models.mmseg.conv import ConvModule, class_layer, dropout2d, resize
from rayseg.models.mmseg.feature import require
from rayseg.models.mmseg.inputs import OneInput

__all__ = ["GridAverage", "PSPHead", "PyramidPooling"]


def _cells(size: int, scale: int, like: Tensor) -> Tensor:
    """``(scale, size)``: row i has the weights of the mean over ``[floor(i size / scale), ceil((i + 1) size / scale))``."""
    at = torch.arange(size, device=like.device)
    cell = torch.arange(scale, device=like.device)[:, None]
    inside = (at >= cell * size // scale) & (at < -(-(cell + 1) * size // scale))
    return inside.to(like.dtype) / inside.sum(1, keepdim=True)


class GridAverage(nn.Module):
    """Means over the cells of a grid, as ``nn.AdaptiveAvgPool2d``, of which PyTorch has no deterministic gradient on GPUs.

    Args:
        scale: cells along each side.

    Example:
        >>> GridAverage(2)(torch.arange(4.0).view(1, 1, 1, 4))
        tensor([[[[0.5000, 2.5000],
                  [0.5000, 2.5000]]]])
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C, scale, scale)``."""
        with torch.autocast(x.device.type, enabled=False):
            return _cells(x.shape[2], self.scale, x) @ x @ _cells(x.shape[3], self.scale, x).T


class PyramidPooling(nn.ModuleList):
    """A feature beside its averages over grids: ``(N, c_in, h, w) -> (N, c_in + G * channels, h, w)`` for G grids.

    Args:
        c_in: channels of the feature.
        channels: of each average.
        pool_scales: cells along each side of the grids.
        align_corners: how the averages are brought to the feature's size.

    Example:
        >>> PyramidPooling(8, 4, (1, 2), align_corners=False)(torch.zeros(2, 8, 9, 9)).shape
        torch.Size([2, 16, 9, 9])
    """

    def __init__(self, c_in: int, channels: int, pool_scales: Sequence[int], *, align_corners: bool) -> None:
        super().__init__(nn.Sequential(GridAverage(scale), ConvModule(c_in, channels, 1)) for scale in pool_scales)
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        """The feature first, then one average after the other."""
        pooled = [resize(pool(x), x.shape[-2:], align_corners=self.align_corners) for pool in self]
        return torch.cat([x, *pooled], dim=1)


class PSPHead(nn.Module):
    """The feature beside its averages over grids: features to logits ``(N, C, h, w)`` at the feature's stride.

    Args:
        num_classes: C.
        feature_channels: of every feature of the backbone.
        channels: of every branch and of what joins them.
        in_channels: of the feature, or of each, checked where it is given.
        in_index: which feature, or with ``input_transform`` which features.
        input_transform: ``resize_concat`` takes several features as one; see :class:`OneInput`.
        pool_scales: cells along each side of the grids.
        dropout_ratio: probability that a channel is dropped before the last layer.
        align_corners: how branches are brought to the feature's size, and the logits to that of the image.

    Raises:
        ConfigError: a value that cannot be, or another number of channels.

    Example:
        >>> PSPHead(5, (8, 16), channels=4)([torch.zeros(2, 8, 9, 9), torch.zeros(2, 16, 9, 9)]).shape
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
        pool_scales: tuple[int, ...] = (1, 2, 3, 6),
        dropout_ratio: float = 0.1,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        require(channels=channels, pool_scales=pool_scales, dropout_ratio=dropout_ratio)
        self.take = OneInput(feature_channels, in_index, in_channels, input_transform, align_corners=align_corners)
        c_in = self.take.channels
        self.align_corners = align_corners
        self.conv_seg = class_layer(channels, num_classes)
        self.dropout = dropout2d(dropout_ratio)
        self.psp_modules = PyramidPooling(c_in, channels, pool_scales, align_corners=align_corners)
        self.bottleneck = ConvModule(c_in + len(pool_scales) * channels, channels, 3)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits at the stride of the feature."""
        pooled = self.psp_modules(self.take(features))
        logits: Tensor = self.conv_seg(self.dropout(self.bottleneck(pooled)))
        return logits
