"""A small U-Net that learns on a CPU in minutes (after Ronneberger et al., 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.errors import ConfigError, Problem
from rayseg.types import MAIN_HEAD

__all__ = ["SmallUnet", "small_unet"]

#: Channels of each level, as multiples of the width; deeper levels have the last.
_GROWTH = (1, 2, 4, 5)


def _conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def _double_conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_conv(channels_in, channels_out, stride), _conv(channels_out, channels_out))


class _Encoder(nn.Module):
    """Features at strides 2, 4, 8, ..."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.stem = _conv(3, channels[0], stride=2)
        self.stages = nn.ModuleList(_double_conv(a, b, stride=2) for a, b in pairwise(channels))

    def forward(self, images: Tensor) -> list[Tensor]:
        features = [self.stem(images)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


class _Decoder(nn.Module):
    """Logits at the stride of the first feature map."""

    def __init__(self, channels: Sequence[int], num_classes: int, dropout: float) -> None:
        super().__init__()
        self.stages = nn.ModuleList(_double_conv(a + b, a) for a, b in pairwise(channels))
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(channels[0], num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[-1]
        for skip, stage in zip(features[-2::-1], reversed(self.stages), strict=True):
            x = stage(torch.cat([skip, F.interpolate(x, size=skip.shape[-2:], mode="nearest")], dim=1))
        logits: Tensor = self.classifier(self.dropout(x))
        return logits


def _head(channels_in: int, num_logits: int) -> nn.Sequential:
    """A head of its own, as MMSegmentation's FCNHead with one convolution."""
    return nn.Sequential(_conv(channels_in, channels_in), nn.Conv2d(channels_in, num_logits, 1))


class SmallUnet(nn.Module):
    """The network that ``small_unet`` makes: images ``(N, 3, H, W)`` to ``{"main": (N, C, H / 2, W / 2)}``, sizes rounded up.

    Args:
        num_classes: C.
        channels: channels of each level, from stride 2 on.
        dropout: probability that a channel is dropped before the classifier.
        auxiliary: also ``"auxiliary"``, ``(N, C, ...)`` from the deepest features.
        detail: also ``"detail"``, ``(N, 1, H / 2, W / 2)`` from the shallowest.

    Example:
        >>> SmallUnet(2, [4, 8], 0.0)(torch.zeros(1, 3, 5, 8))["main"].shape
        torch.Size([1, 2, 3, 4])
    """

    def __init__(
        self, num_classes: int, channels: Sequence[int], dropout: float, *, auxiliary: bool = False, detail: bool = False
    ) -> None:
        super().__init__()
        self.backbone = _Encoder(channels)
        self.decode_head = _Decoder(channels, num_classes, dropout)
        self.auxiliary_head = _head(channels[-1], num_classes) if auxiliary else None
        self.detail_head = _head(channels[0], 1) if detail else None

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Named logits, the main ones at stride 2."""
        features = self.backbone(images)
        logits = {MAIN_HEAD: self.decode_head(features)}
        if self.auxiliary_head is not None:
            logits["auxiliary"] = self.auxiliary_head(features[-1])
        if self.detail_head is not None:
            logits["detail"] = self.detail_head(features[0])
        return logits


def small_unet(
    num_classes: int,
    *,
    width: int = 16,
    depth: int = 4,
    dropout: float = 0.0,
    auxiliary: bool = False,
    detail: bool = False,
) -> SmallUnet:
    """A U-Net of about 340,000 parameters with logits at stride 2: a quarter of the work of full resolution.

    Args:
        num_classes: C.
        width: channels at stride 2; deeper levels have 2, 4 and 5 times as many.
        depth: levels, the last at stride ``2^depth``. Any image size will do.
        dropout: probability that a channel is dropped before the classifier.
        auxiliary: a second head with C classes on the deepest features (deep supervision, Lee et al. 2015).
        detail: a one-channel head on the shallowest features, for a target of its own such as STDC's details.

    Raises:
        ConfigError: a width or depth below 1.

    Example:
        >>> small_unet(9)(torch.zeros(1, 3, 64, 128))["main"].shape
        torch.Size([1, 9, 32, 64])
    """
    problems = [
        Problem(f"model.{name}", f"must be at least 1, got {value}")
        for name, value in (("width", width), ("depth", depth))
        if value < 1
    ]
    if problems:
        raise ConfigError(problems)
    channels = [width * _GROWTH[min(level, len(_GROWTH) - 1)] for level in range(depth)]
    return SmallUnet(num_classes, channels, dropout, auxiliary=auxiliary, detail=detail)
