"""What a loss may be given instead of labels: the share of each class in each pixel.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch.nn.functional as F
from torch import Tensor

from rayseg.losses._arguments import require

__all__ = ["SOFT_TARGETS", "one_hot", "smooth_borders"]


def one_hot(masks: Tensor, *, ignore_index: int, num_classes: int) -> Tensor:
    """1 for the class of each pixel, 0 for the others; nothing but zeros where ignored.

    Args:
        masks: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled; it need not be a class.
        num_classes: C.

    Returns:
        ``(N, C, H, W)`` float32.

    Example:
        >>> import torch
        >>> one_hot(torch.tensor([[[1, 255]]]), ignore_index=255, num_classes=2)
        tensor([[[[0., 0.]],
                 [[1., 0.]]]])
    """
    valid = masks != ignore_index
    return (F.one_hot(masks.where(valid, 0), num_classes) * valid[..., None]).movedim(-1, 1).float()


def smooth_borders(masks: Tensor, *, ignore_index: int, num_classes: int, width: int = 3) -> Tensor:
    """The share of each class among the labelled pixels around: labels are soft where classes meet, and hard elsewhere.

    Annotations are least certain at borders. The mean is over a square window; pixels outside the image and ignored ones are
    left out of it.

    Args:
        masks: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled; it need not be a class.
        num_classes: C.
        width: side of the window in px, odd; 1 is :func:`one_hot`.

    Returns:
        ``(N, C, H, W)`` float32; shares add up to 1, or to 0 where ignored.

    Raises:
        ConfigError: the width is even or below 1.

    Example:
        >>> import torch
        >>> smooth_borders(torch.tensor([[[0, 0, 1, 1]]]), ignore_index=255, num_classes=2)[0, 1]
        tensor([[0.0000, 0.3333, 0.6667, 1.0000]])
    """
    require("smooth_borders", "width", width >= 1 and width % 2 == 1, "an odd number of px, 1 or more", width)
    hard = one_hot(masks, ignore_index=ignore_index, num_classes=num_classes)
    valid = (masks != ignore_index)[:, None].to(hard.dtype)
    shares, labelled = (F.avg_pool2d(each, width, stride=1, padding=width // 2) for each in (hard, valid))
    return shares / labelled.clamp(min=0.5 / width**2) * valid


#: Targets by the name that a config uses: ``(masks, *, ignore_index, num_classes, **own) -> (N, C, H, W)``.
SOFT_TARGETS: Mapping[str, Callable[..., Tensor]] = MappingProxyType({"one_hot": one_hot, "smooth_borders": smooth_borders})
