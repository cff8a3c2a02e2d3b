"""The head of MobileNetV3, Lite R-ASPP (Howard et al., 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from rayseg.errors import ConfigError, Problem, ShapeError
from rayseg.models.mmseg.conv import ConvModule, class_layer, dropout2d, resize
from rayseg.models.mmseg.feature import require
from rayseg.models.mmseg.inputs import SeveralInputs

__all__ = ["LRASPPHead"]

#: Height and width px of the window, on the feature, whose averages gate it.
_WINDOW = 49


class LRASPPHead(nn.Module):
    """The last feature, gated by averages over large windows, brought up beside finer ones: logits at the first one's stride.

    The last feature must be 49 x 49 pixels at least: images of 385 pixels a side at stride 8.

    Args:
        num_classes: C.
        feature_channels: of every feature of the backbone.
        channels: of every branch but those of the finer features.
        branch_channels: to which each finer feature is brought.
        in_channels: of the features, checked where they are given.
        in_index: which features, fine to coarse; None: all.
        input_transform: ``multiple_select``, which it is anyway.
        dropout_ratio: probability that a channel is dropped before the last layer.
        align_corners: how features are brought to each other's size, and the logits to that of the image.

    Raises:
        ConfigError: a value that cannot be, or other numbers of channels.

    Example:
        >>> head = LRASPPHead(5, (4, 8, 16), channels=4, branch_channels=(2, 2)).eval()
        >>> head([torch.zeros(2, 4, 100, 100), torch.zeros(2, 8, 50, 50), torch.zeros(2, 16, 50, 50)]).shape
        torch.Size([2, 5, 100, 100])
    """

    def __init__(
        self,
        num_classes: int,
        feature_channels: Sequence[int],
        *,
        channels: int,
        branch_channels: tuple[int, ...] = (32, 64),
        in_channels: tuple[int, ...] | None = None,
        in_index: tuple[int, ...] | None = None,
        input_transform: Literal["multiple_select"] = "multiple_select",
        dropout_ratio: float = 0.1,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        assert input_transform == "multiple_select"
        require(channels=channels, branch_channels=branch_channels, dropout_ratio=dropout_ratio)
        self.take, self.align_corners = SeveralInputs(feature_channels, in_index, in_channels), align_corners
        *finer, last = self.take.channels
        if len(branch_channels) != len(finer):
            message = f"got {len(branch_channels)} values, expected {len(finer)}, one for each feature but the last"
            raise ConfigError([Problem("branch_channels", message)])
        self.conv_seg = class_layer(channels, num_classes)
        self.dropout = dropout2d(dropout_ratio)
        self.convs, self.conv_ups = nn.Sequential(), nn.Sequential()
        for index, (c_in, branch) in enumerate(zip(finer, branch_channels, strict=True)):
            self.convs.add_module(f"conv{index}", nn.Conv2d(c_in, branch, 1, bias=False))
            self.conv_ups.add_module(f"conv_up{index}", ConvModule(channels + branch, channels, 1))
        self.conv_up_input = nn.Conv2d(channels, channels, 1)
        self.aspp_conv = ConvModule(last, channels, 1)
        pool = nn.AvgPool2d(_WINDOW, stride=(16, 20))
        self.image_pool = nn.Sequential(pool, ConvModule(last, channels, 1, norm=False, act="Sigmoid"))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits at the stride of the first feature.

        Raises:
            ShapeError: the last feature is smaller than the window.
        """
        *finer, last = self.take(features)
        if min(last.shape[-2:]) < _WINDOW:
            message = f"got a last feature of {tuple(last.shape[-2:])} px, expected {_WINDOW} x {_WINDOW} at least"
            raise ShapeError(f"LRASPPHead: {message}; train and evaluate on larger images (385 px a side at stride 8)")
        gate = resize(self.image_pool(last), last.shape[-2:], align_corners=self.align_corners)
        x = self.conv_up_input(self.aspp_conv(last) * gate)
        for feature, conv, up in reversed([*zip(finer, self.convs, self.conv_ups, strict=True)]):
            detail = conv(feature)
            x = up(torch.cat([resize(x, detail.shape[-2:], align_corners=self.align_corners), detail], dim=1))
        logits: Tensor = self.conv_seg(self.dropout(x))
        return logits
