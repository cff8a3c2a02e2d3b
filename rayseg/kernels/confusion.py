"""Counting which class was taken for which.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels.histogram import histogram

__all__ = ["confusion_counts", "count_by"]

_BYTES = {torch.uint8: 1, torch.int64: 8}
#: The library of ``csrc/evaluation.cpp``, once somebody has made it.
_in_use: list[Any] = []


def count_by(library: Any) -> None:
    """Let labels on a CPU be counted by ``csrc/evaluation.cpp``, which changes nothing but the time."""
    _in_use[:] = [library]


def _counted_in_cpp(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> Tensor | None:
    """The counts; None where no library is in use, or where a label or a prediction makes no class."""
    if not _in_use or prediction.device.type != "cpu" or prediction.dtype not in _BYTES or target.dtype not in _BYTES:
        return None
    both = [labels.contiguous() for labels in (prediction, target)]
    given = [each for labels in both for each in (ctypes.c_void_p(labels.data_ptr()), _BYTES[labels.dtype])]
    counts = torch.empty(num_classes, num_classes, dtype=torch.int64)
    sizes = [ctypes.c_int64(each) for each in (target.numel(), num_classes, ignore_index)]
    status = _in_use[0].rayseg_confusion(*given, *sizes, torch.get_num_threads(), ctypes.c_void_p(counts.data_ptr()))
    return counts if status == 0 else None


def _check_range(name: str, labels: Tensor, num_classes: int) -> None:
    low, high = (int(bound) for bound in torch.aminmax(labels))
    if low < 0 or high >= num_classes:
        raise ShapeError(
            f"confusion_counts: {name} holds {low if low < 0 else high}, but there are {num_classes} classes, "
            f"0 to {num_classes - 1}; check num_classes and ignore_index"
        )


def confusion_counts(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """The confusion matrix: rows are the truth, columns the prediction.

    Exact at any size (float32 counters stop at 2^24). Ignored pixels go to a row of their own that is cut off, which is several
    times faster than selecting the others.

    Args:
        prediction: ``(N, H, W)`` class indices in ``[0, C)``, int64 or uint8.
        target: ``(N, H, W)`` labels in ``[0, C)``, or ``ignore_index``; int64 or uint8.
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
    if (counted := _counted_in_cpp(prediction, target, num_classes, ignore_index)) is not None:
        return counted
    prediction, target = prediction.long(), target.long()
    ignored = target == ignore_index
    if target.device.type == "cpu" and target.numel():
        _check_range("prediction", prediction, num_classes)
        _check_range("target", target.masked_fill(ignored, 0), num_classes)
    row = target.where(target != num_classes, num_classes + 1).masked_fill(ignored, num_classes)
    counts = histogram((row * num_classes + prediction).flatten(), (num_classes + 1) * num_classes)
    return counts.view(num_classes + 1, num_classes)[:num_classes]
