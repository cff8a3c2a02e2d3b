"""Losses as tutorials write them, which know nothing of void, of workers or of rayseg."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DiceLoss", "my_loss", "opposite", "ranks"]


def my_loss(output, target):  # type: ignore[no-untyped-def]
    """The first example of a loss that is a function."""
    loss = torch.mean((output - target)**2)  # fmt: skip
    return loss  # noqa: RET504


class DiceLoss(nn.Module):
    """The example of a loss that is a class: the sigmoid of everything, flattened."""

    def __init__(self, weight=None, size_average=True):  # type: ignore[no-untyped-def]  # noqa: ARG002
        super(DiceLoss, self).__init__()  # noqa: UP008

    def forward(self, inputs, targets, smooth=1):  # type: ignore[no-untyped-def]
        """One minus Dice."""
        inputs = F.sigmoid(inputs)
        inputs = inputs.view(-1)
        targets = targets.view(-1)
        intersection = (inputs * targets).sum()
        dice = (2. * intersection + smooth) / (inputs.sum() + targets.sum() + smooth)  # fmt: skip
        return 1 - dice


def opposite(masks: Tensor, *, ignore_index: int, num_classes: int, share: float = 1.0) -> Tensor:
    """A target of one's own: the last class first."""
    valid = masks != ignore_index
    flipped = F.one_hot((num_classes - 1 - masks).where(valid, 0), num_classes).movedim(-1, 1)
    return share * flipped * valid[:, None].float()


def ranks(masks: Tensor, *, ignore_index: int, num_classes: int) -> Tensor:
    """A target without a share for each class."""
    return masks.where(masks != ignore_index, 0) / num_classes
