"""No choice among the pixels."""

from __future__ import annotations

from torch import Tensor

__all__ = ["all_pixels"]


def all_pixels(logits: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    """Keep every labelled pixel: for a head that shall not inherit the main head's sampler.

    Args:
        logits: ``(N, C, H, W)``.
        target: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled; never kept.

    Returns:
        ``(N, H, W)`` weights, 0 or 1, of the dtype of the logits.

    Example:
        >>> import torch
        >>> all_pixels(torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]]), ignore_index=255)
        tensor([[[1., 1., 0.]]])
    """
    return (target != ignore_index).to(logits.dtype)
