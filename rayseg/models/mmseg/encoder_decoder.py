"""A backbone, a head, and auxiliary heads, under MMSegmentation's names."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from rayseg.models.mmseg.conv import resize
from rayseg.types import MAIN_HEAD

__all__ = ["EncoderDecoder"]


class EncoderDecoder(nn.Module):
    """Images ``(N, 3, H, W)`` to named logits: ``main``, and ``auxiliary`` or ``auxiliary_0``, ``auxiliary_1``, ...

    Logits keep their head's own stride. Those of a head with ``align_corners`` are brought to ``H x W`` here, because what
    comes after aligns the pixels' centres and would do it otherwise.

    Args:
        backbone: images to features.
        decode_head: features to logits; may have ``align_corners``.
        auxiliary_head: another one, or a list of some.

    Example:
        >>> import torch
        >>> from rayseg.models.mmseg import FCNHead, ResNet
        >>> backbone = ResNet(18, base_channels=4)
        >>> heads = [FCNHead(5, backbone.channels, channels=4, in_index=index) for index in (3, 2, 1)]
        >>> model = EncoderDecoder(backbone, heads[0], heads[1:])
        >>> {name: tuple(logits.shape) for name, logits in model(torch.zeros(2, 3, 64, 64)).items()}
        {'main': (2, 5, 2, 2), 'auxiliary_0': (2, 5, 4, 4), 'auxiliary_1': (2, 5, 8, 8)}
    """

    def __init__(
        self, backbone: nn.Module, decode_head: nn.Module, auxiliary_head: nn.Module | Sequence[nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head
        self.auxiliary_head = nn.ModuleList(auxiliary_head) if isinstance(auxiliary_head, Sequence) else auxiliary_head

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits of every head by name."""
        features: Sequence[Tensor] = self.backbone(images)
        heads = {MAIN_HEAD: self.decode_head, **self._auxiliary()}
        return {name: _aligned(head, head(features), images) for name, head in heads.items()}

    def _auxiliary(self) -> dict[str, nn.Module]:
        if isinstance(self.auxiliary_head, nn.ModuleList):
            return {f"auxiliary_{index}": head for index, head in enumerate(self.auxiliary_head)}
        return {"auxiliary": self.auxiliary_head} if isinstance(self.auxiliary_head, nn.Module) else {}


def _aligned(head: nn.Module, logits: Tensor, images: Tensor) -> Tensor:
    aligned = getattr(head, "align_corners", False)
    return resize(logits, images.shape[-2:], align_corners=True) if aligned else logits
