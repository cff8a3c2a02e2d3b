"""The head of Fast-SCNN (Poudel et al., 2019): an FCN of separable convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rayseg.errors import ConfigError, Problem
from rayseg.models.mmseg.conv import activation, class_layer, dropout2d, separable
from rayseg.models.mmseg.feature import require
from rayseg.models.mmseg.inputs import OneInput

__all__ = ["DepthwiseSeparableFCNHead"]


class DepthwiseSeparableFCNHead(nn.Module):
    """As :class:`FCNHead`, with separable convolutions: features to logits ``(N, C, h, w)`` at the feature's stride.

    Args:
        num_classes: C.
        feature_channels: of every feature of the backbone.
        channels: of the convolutions.
        in_channels: of the feature, or of each, checked where it is given.
        in_index: which feature, or with ``input_transform`` which features.
        input_transform: ``resize_concat`` takes several features as one; see :class:`OneInput`.
        num_convs: convolutions before the last, 1 at least.
        kernel_size: of the depthwise convolutions in pixels, odd.
        concat_input: one more convolution on the feature and what came out of the others.
        dw_act_cfg: ``type`` of the activation after each depthwise convolution; None: there is none.
        dropout_ratio: probability that a channel is dropped before the last layer.
        align_corners: how the logits are brought to the size of the image; see :class:`EncoderDecoder`.

    Raises:
        ConfigError: a value that cannot be, or another number of channels.

    Example:
        >>> DepthwiseSeparableFCNHead(5, (8, 16), channels=4)([torch.zeros(2, 8, 6, 6), torch.zeros(2, 16, 3, 3)]).shape
        torch.Size([2, 5, 3, 3])
    """

    def __init__(  # noqa: PLR0913
        self,
        num_classes: int,
        feature_channels: Sequence[int],
        *,
        channels: int,
        in_channels: int | tuple[int, ...] | None = None,
        in_index: int | tuple[int, ...] = -1,
        input_transform: Literal["resize_concat"] | None = None,
        num_convs: int = 2,
        kernel_size: int = 3,
        concat_input: bool = True,
        dw_act_cfg: Mapping[str, Any] | None = None,
        dropout_ratio: float = 0.1,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        require(channels=channels, num_convs=num_convs, kernel_size=kernel_size, dropout_ratio=dropout_ratio)
        faults = [] if kernel_size % 2 else [Problem("kernel_size", f"must be odd, got {kernel_size}")]
        act = activation(dw_act_cfg, "dw_act_cfg", faults)
        if faults:
            raise ConfigError(faults)
        self.take = OneInput(feature_channels, in_index, in_channels, input_transform, align_corners=align_corners)
        c_in, self.align_corners = self.take.channels, align_corners
        self.conv_seg = class_layer(channels, num_classes)
        self.dropout = dropout2d(dropout_ratio)
        inputs = [c_in, *[channels] * (num_convs - 1)]
        self.convs = nn.Sequential(*(separable(each, channels, kernel_size, depthwise_act=act) for each in inputs))
        self.conv_cat = separable(c_in + channels, channels, kernel_size, depthwise_act=act) if concat_input else None

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits at the stride of the feature."""
        x = self.take(features)
        out = self.convs(x)
        if self.conv_cat is not None:
            out = self.conv_cat(torch.cat([x, out], dim=1))
        logits: Tensor = self.conv_seg(self.dropout(out))
        return logits
