"""Counting which class was taken for which.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels.histogram import histogram

__all__ = ["confusion_counts"]


def _check_range(prediction: Tensor, row: Tensor, num_classes: int) -> None:
    for name, labels, largest in (("prediction", prediction, num_classes - 1), ("target", row, num_classes)):
        low, high = (int(bound) for bound in torch.aminmax(labels))
        if low < 0 or high > largest:
            raise ShapeError(
                f"confusion_counts: {name} holds {low if low < 0 else high}, but there are {num_classes} classes, "
                f"0 to {num_classes - 1}; check num_classes and ignore_index"
            )


def confusion_counts(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """The confusion matrix: rows are the truth, columns the prediction.

    Exact at any size (float32 counters stop at 2^24). Ignored pixels go to a row of their own that is cut off, which is several
    times faster than selecting the others.

    Args:
        prediction: ``(N, H, W)`` int64 class indices in ``[0, C)``.
        target: ``(N, H, W)`` int64 labels in ``[0, C)``, or ``ignore_index``.
        num_classes: C.
        ignore_index: label that means: not labelled.

    Returns:
        ``(C, C)`` int64 counts.

    Raises:
        ShapeError: the two do not have the same shape; on a CPU also for a label or a prediction that makes no class. (On a GPU
            that would cost a synchronisation; there a label out of range ends in a device-side assertion.)

    Example:
        >>> confusion_counts(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 0, 255]]]), 2, 255)
        tensor([[1, 1],
                [0, 0]])
    """
    if prediction.shape != target.shape:
        raise ShapeError(
            f"confusion_counts: prediction is {tuple(prediction.shape)} and target {tuple(target.shape)}; "
            "they must be equal: resize the logits to the mask before taking the argmax"
        )
    row = torch.where(target == ignore_index, num_classes, target)
    if target.device.type == "cpu" and target.numel():
        _check_range(prediction, row, num_classes)
    counts = histogram((row * num_classes + prediction).flatten(), (num_classes + 1) * num_classes)
    return counts.view(num_classes + 1, num_classes)[:num_classes]
