"""One forward pass, and its logits at the size of the mask.

Letters: N images, K channels of the logits, H x W pixels of the image, h x w pixels of the logits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.kernels import predicted_classes
from rayseg.models import autocasting, named_logits
from rayseg.types import MAIN_HEAD

__all__ = ["predict_logits", "predicted_labels", "resized"]


@torch.no_grad()
def predict_logits(model: nn.Module, images: Tensor, *, autocast: torch.dtype | None = None) -> Tensor:
    """Logits ``(N, K, h, w)`` of the main head, in the mode that the model is in.

    Args:
        model: returns named logits or one tensor.
        images: ``(N, 3, H, W)``, normalised.
        autocast: dtype of the forward pass where autocast allows it; None: as the weights are.

    Example:
        >>> predict_logits(nn.Conv2d(3, 2, 2, stride=2), torch.zeros(1, 3, 8, 6)).shape
        torch.Size([1, 2, 4, 3])
    """
    with autocasting(images.device, autocast):
        return named_logits(model(images))[MAIN_HEAD]


def resized(values: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, corners not aligned, without anti-aliasing, in float32 or more; what has the size stays as it is.

    Args:
        values: ``(N, K, h, w)`` logits or images.
        size: ``(H, W)`` px.

    Example:
        >>> resized(torch.tensor([[[[0.0, 1.0]]]]), (1, 4))
        tensor([[[[0.0000, 0.2500, 0.7500, 1.0000]]]])
    """
    if values.shape[-2:] == torch.Size(size):
        return values
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    return F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=False)


def predicted_labels(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Class of every pixel ``(N, H, W)`` int64: bilinear to ``size``, then the most probable.

    Args:
        logits: ``(N, K, h, w)``; one channel tells two classes apart.
        size: ``(H, W)`` px.

    Example:
        >>> predicted_labels(torch.tensor([[[[-1.0, 1.0]]]]), (1, 4))
        tensor([[[0, 0, 1, 1]]])
    """
    return predicted_classes(resized(logits, size))
