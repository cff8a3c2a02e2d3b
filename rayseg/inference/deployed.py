"""The network as another program wants it: pictures in, one tensor at their size out.

Letters: N images, K channels of the logits, C classes, H x W pixels of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.kernels import log_probabilities, predicted_classes
from rayseg.models import named_logits
from rayseg.types import MAIN_HEAD

__all__ = ["Deployed", "Returned"]

#: What comes out: logits ``(N, K, H, W)``, probabilities ``(N, C, H, W)``, or the most probable classes ``(N, H, W)``.
Returned = Literal["logits", "probabilities", "classes"]


class Deployed(nn.Module):
    """Images ``(N, 3, H, W)`` float32 RGB in 0-255 to one tensor at their size; normalisation and upsampling are inside.

    Args:
        model: returns named logits or one tensor.
        mean: of RGB in 0-255, as in training.
        std: of RGB in 0-255, as in training.
        returns: ``logits`` float32 of K channels; ``probabilities`` float32, of two classes where the logits have one channel;
            ``classes`` int64.

    Example:
        >>> deployed = Deployed(nn.Conv2d(3, 2, 2, stride=2), mean=(0, 0, 0), std=(255, 255, 255), returns="classes")
        >>> deployed(torch.zeros(1, 3, 4, 6)).shape
        torch.Size([1, 4, 6])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, *, mean: Sequence[float], std: Sequence[float], returns: Returned = "logits") -> None:
        super().__init__()
        self.model = model
        self.returns = returns
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """What was asked for, of every pixel."""
        logits = named_logits(self.model((images - self.mean) / self.std))[MAIN_HEAD]
        # Not resized(): "has it the size already" is a question that no graph for all sizes can ask. Here it changes nothing.
        full = F.interpolate(logits.float(), images.shape[-2:], mode="bilinear", align_corners=False)
        return returned(full, self.returns)


def returned(logits: Tensor, returns: Returned) -> Tensor:
    """Logits ``(N, K, H, W)`` as they are asked for.

    Example:
        >>> returned(torch.zeros(1, 1, 1, 1), "probabilities").flatten()
        tensor([0.5000, 0.5000])
    """
    if returns == "classes":
        return predicted_classes(logits)
    return log_probabilities(logits).exp() if returns == "probabilities" else logits
