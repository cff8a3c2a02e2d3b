"""Scores from the confusion matrix of a whole data set: counts are summed, scores never averaged.

With I the pixels of a class that were found, L those labelled and P those predicted as the class: IoU is ``I / (L + P - I)``,
accuracy ``I / L``, both fractions. A mean runs over the classes for which the score exists.

Letters: C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rayseg.errors import ShapeError

__all__ = ["accuracy", "iou", "scores"]


def iou(confusion: Tensor) -> Tensor:
    """Intersection over union of each class.

    Args:
        confusion: ``(C, C)`` counts; rows are the truth, columns the prediction.

    Returns:
        ``(C,)`` float64; NaN for a class that is neither in the truth nor in the prediction.

    Example:
        >>> iou(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
        tensor([0.7500, 0.8000,    nan], dtype=torch.float64)
    """
    counts = confusion.to(torch.float64)
    found = counts.diagonal()
    return found / (counts.sum(1) + counts.sum(0) - found)


def accuracy(confusion: Tensor) -> Tensor:
    """Share of each class's labelled pixels that were found (its recall).

    Args:
        confusion: ``(C, C)`` counts; rows are the truth, columns the prediction.

    Returns:
        ``(C,)`` float64; NaN for a class that is not in the truth.

    Example:
        >>> accuracy(torch.tensor([[3, 1], [0, 0]]))
        tensor([0.7500,    nan], dtype=torch.float64)
    """
    counts = confusion.to(torch.float64)
    return counts.diagonal() / counts.sum(1)


def scores(confusion: Tensor, class_names: Sequence[str]) -> dict[str, float]:
    """The scores of an evaluation, as fractions 0-1.

    ``mIoU`` and ``mAcc`` are means over the classes that have one, ``aAcc`` is the share of all labelled pixels that is right.
    A score that does not exist (of a class that never occurs, or of no pixels at all) has no key: NaN would never compare as
    better or worse.

    Args:
        confusion: ``(C, C)`` int64 counts over the data set; rows are the truth, columns the prediction.
        class_names: C names.

    Returns:
        ``mIoU``, ``mAcc``, ``aAcc``, then ``IoU/<class>`` and ``Acc/<class>``.

    Raises:
        ShapeError: the matrix does not fit the names.

    Example:
        >>> scores(torch.tensor([[3, 1], [0, 4]]), ["road", "car"])
        {'mIoU': 0.775, 'mAcc': 0.875, 'aAcc': 0.875, 'IoU/road': 0.75, 'IoU/car': 0.8, 'Acc/road': 0.75, 'Acc/car': 1.0}
    """
    expected = (len(class_names), len(class_names))
    if confusion.shape != expected:
        raise ShapeError(
            f"scores: the confusion matrix is {tuple(confusion.shape)}; {len(class_names)} class names need {expected}"
        )
    per_class = {"IoU": iou(confusion), "Acc": accuracy(confusion)}
    counts = confusion.to(torch.float64)
    overall = {
        "mIoU": per_class["IoU"].nanmean(),
        "mAcc": per_class["Acc"].nanmean(),
        "aAcc": counts.trace() / counts.sum(),
    }
    named = {
        f"{score}/{name}": value for score, values in per_class.items() for name, value in zip(class_names, values, strict=True)
    }
    keys = [*overall, *named]
    values = torch.stack([*overall.values(), *named.values()]).tolist()
    return {key: value for key, value in zip(keys, values, strict=True) if not math.isnan(value)}
