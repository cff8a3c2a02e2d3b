"""A backbone and its heads."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from rayseg.models.weights import WeightReport
from rayseg.types import MAIN_HEAD

__all__ = ["Segmenter"]


class Segmenter(nn.Module):
    """A backbone, a decode head and, perhaps, an auxiliary head; logits stay at each head's own stride.

    Args:
        backbone: ``(N, 3, H, W) -> features``.
        decode_head: features, or the entry of features called ``decode_feature``, ``-> (N, C, h, w)``.
        auxiliary_head: takes the entry of features called ``"aux"``.
        decode_feature: which entry the decode head takes; None: all of them.
        pretrained: what was loaded into the backbone.

    Example:
        >>> import torch
        >>> Segmenter(nn.Conv2d(3, 4, 2, stride=2), nn.Conv2d(4, 9, 1), decode_feature=None)(torch.zeros(1, 3, 8, 8))[
        ...     "main"
        ... ].shape
        torch.Size([1, 9, 4, 4])
    """

    def __init__(
        self,
        backbone: nn.Module,
        decode_head: nn.Module,
        auxiliary_head: nn.Module | None = None,
        *,
        decode_feature: str | None = "out",
        pretrained: WeightReport | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head
        self.auxiliary_head = auxiliary_head
        self.decode_feature = decode_feature
        self.pretrained = pretrained

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """``{"main": (N, C, h, w)}`` of images ``(N, 3, H, W)``, and ``"auxiliary"`` where there is such a head."""
        features: Any = self.backbone(images)
        output = {MAIN_HEAD: self.decode_head(features if self.decode_feature is None else features[self.decode_feature])}
        if self.auxiliary_head is not None:
            output["auxiliary"] = self.auxiliary_head(features["aux"])
        return output
