"""Logits to classes, with one channel or with one for each class.

A head with a single channel z tells two classes apart: it is a softmax over (0, z), so class 1 has probability sigmoid(z).

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["log_probabilities", "predicted_classes"]


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-softmax over the classes, of two classes where the logits have one channel.

    Args:
        logits: ``(N, C, H, W)``, or ``(N, 1, H, W)`` for two classes; the half precisions are computed in float32.

    Returns:
        ``(N, C, H, W)``, C at least 2; float32, or float64 for float64.

    Example:
        >>> log_probabilities(torch.zeros(1, 1, 1, 1)).exp().flatten()
        tensor([0.5000, 0.5000])
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    if logits.shape[1] == 1:
        logits = logits.to(dtype)
        return torch.cat([F.logsigmoid(-logits), F.logsigmoid(logits)], dim=1)
    return F.log_softmax(logits, dim=1, dtype=dtype)


def predicted_classes(logits: Tensor) -> Tensor:
    """The most probable class of each pixel; of two that are equal the first.

    Args:
        logits: ``(N, C, H, W)``, or ``(N, 1, H, W)`` for two classes.

    Returns:
        ``(N, H, W)`` int64.

    Example:
        >>> predicted_classes(torch.tensor([[[[-1.0, 0.0, 2.0]]]]))
        tensor([[[0, 0, 1]]])
    """
    return (logits[:, 0] > 0).to(torch.int64) if logits.shape[1] == 1 else logits.argmax(1)
