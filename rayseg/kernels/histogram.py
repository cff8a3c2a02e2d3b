"""Exact histograms of small integers, without a host synchronisation.

Letters: M values, B bins.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["histogram"]


def histogram(index: Tensor, num_bins: int) -> Tensor:
    """How often each index occurs.

    ``torch.bincount`` asks the host for the largest index on a GPU, and is slower on a CPU. An index outside the bins is an
    error of the tensor library on a CPU and a device-side assertion on a GPU.

    Args:
        index: ``(M,)`` int64 in ``[0, num_bins)``.
        num_bins: number of bins B.

    Returns:
        ``(B,)`` int64 counts.

    Example:
        >>> histogram(torch.tensor([0, 2, 2]), 4)
        tensor([1, 0, 2, 0])
    """
    counts = torch.zeros(num_bins, dtype=torch.int64, device=index.device)
    return counts.scatter_add_(0, index, torch.ones_like(index))
