"""Scores from the counts of a whole data set: counts are summed, scores never averaged.

With I the pixels of a class that were found, L those labelled and P those predicted as the class, all fractions::

    iou        I / (L + P - I)          dice       2 I / (L + P)
    accuracy   I / L, also recall       precision  I / P
    fscore     (1 + b^2) p r / (b^2 p + r) of precision p and recall r; with b = 1 it is dice
    boundary   the iou of pixels near the border of the class, counted apart

They take a confusion matrix ``(C, C)`` of counts, rows the truth and columns the prediction, and give ``(C,)`` float64, NaN for
a class for which there is no score. A mean runs over the classes for which the score exists.

Letters: C classes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

import torch
from torch import Tensor

from rayseg.errors import ShapeError

__all__ = ["DEFAULT_METRICS", "METRICS", "Metric", "accuracy", "boundary_iou", "dice", "fscore", "iou", "precision", "scores"]

#: What is scored, in MMSegmentation's words; those of borders are of Cheng et al. 2021.
Metric = Literal["mIoU", "mDice", "mFscore", "mBoundaryIoU"]
#: The scores of each class that belong to a metric.
METRICS: dict[Metric, tuple[str, ...]] = {
    "mIoU": ("IoU", "Acc"),
    "mDice": ("Dice", "Acc"),
    "mFscore": ("Fscore", "Precision", "Recall"),
    "mBoundaryIoU": ("BoundaryIoU",),
}
DEFAULT_METRICS: tuple[Metric, ...] = ("mIoU",)


def iou(confusion: Tensor) -> Tensor:
    """Intersection over union of each class; NaN for one that is neither in the truth nor in the prediction.

    Example:
        >>> iou(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
        tensor([0.7500, 0.8000,    nan], dtype=torch.float64)
    """
    found, labelled, predicted = _pixels(confusion)
    return found / (labelled + predicted - found)


def accuracy(confusion: Tensor) -> Tensor:
    """Share of each class's labelled pixels that were found, its recall; NaN for one that is not in the truth.

    Example:
        >>> accuracy(torch.tensor([[3, 1], [0, 0]]))
        tensor([0.7500,    nan], dtype=torch.float64)
    """
    found, labelled, _ = _pixels(confusion)
    return found / labelled


def dice(confusion: Tensor) -> Tensor:
    """Dice coefficient of each class (Dice 1945), its F1; NaN for one that is neither in the truth nor in the prediction.

    Example:
        >>> dice(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
        tensor([0.8571, 0.8889,    nan], dtype=torch.float64)
    """
    found, labelled, predicted = _pixels(confusion)
    return 2 * found / (labelled + predicted)


def precision(confusion: Tensor) -> Tensor:
    """Share of the pixels predicted as a class that are of it; NaN for one that is never predicted.

    Example:
        >>> precision(torch.tensor([[3, 1], [0, 4]]))
        tensor([1.0000, 0.8000], dtype=torch.float64)
    """
    found, _, predicted = _pixels(confusion)
    return found / predicted


def _pixels(confusion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """I, L and P of each class, float64: exact up to 2^53."""
    counts = confusion.to(torch.float64)
    return counts.diagonal(), counts.sum(1), counts.sum(0)


def fscore(confusion: Tensor, *, beta: float = 1.0, zero_division: float = 0.0) -> Tensor:
    """F-score of each class (van Rijsbergen 1979), from its counts: ``(1 + b^2) I / (b^2 L + P)``.

    Args:
        confusion: counts.
        beta: b; recall weighs b times as much as precision.
        zero_division: value of a class of which some pixels exist and none was found. MMSegmentation has NaN there, which
            takes the class out of the mean and makes the mean larger.

    Returns:
        ``(C,)`` float64; NaN for a class that is neither in the truth nor in the prediction.

    Example:
        >>> fscore(torch.tensor([[0, 2], [0, 4]]))
        tensor([0.0000, 0.8000], dtype=torch.float64)
        >>> fscore(torch.tensor([[0, 2], [0, 4]]), zero_division=float("nan"))
        tensor([   nan, 0.8000], dtype=torch.float64)
    """
    found, labelled, predicted = _pixels(confusion)
    values = (1 + beta**2) * found / (beta**2 * labelled + predicted)
    return values.where((found > 0) | (labelled + predicted == 0), zero_division)


def boundary_iou(counts: Tensor) -> Tensor:
    """Boundary IoU of each class (Cheng et al. 2021): of its pixels near a border, those in both by those in either.

    Args:
        counts: ``(3, C)`` in both, in the truth, in the prediction (``rayseg.kernels.boundary_counts``).

    Returns:
        ``(C,)`` float64; NaN for a class that has no border in either.

    Example:
        >>> boundary_iou(torch.tensor([[3, 0], [4, 0], [5, 0]]))
        tensor([0.5000,    nan], dtype=torch.float64)
    """
    both, truth, predicted = counts.to(torch.float64)
    values: Tensor = both / (truth + predicted - both)
    return values


def scores(
    confusion: Tensor,
    class_names: Sequence[str],
    *,
    metrics: Collection[Metric] = DEFAULT_METRICS,
    beta: float = 1.0,
    boundary: Tensor | None = None,
) -> dict[str, float]:
    """The scores of an evaluation, as fractions 0-1.

    A mean such as ``mIoU`` runs over the classes that have the score, ``aAcc`` is the share of all labelled pixels that is
    right. A score that does not exist (of a class that never occurs, or of no pixels at all) has no key: NaN would never
    compare as better or worse.

    Args:
        confusion: ``(C, C)`` int64 counts over the data set; rows are the truth, columns the prediction.
        class_names: C names.
        metrics: ``mIoU`` gives IoU and Acc, ``mDice`` Dice and Acc, ``mFscore`` Fscore, Precision and Recall,
            ``mBoundaryIoU`` BoundaryIoU.
        beta: of the F-score.
        boundary: ``(3, C)`` int64 counts over the data set, for ``mBoundaryIoU`` (``rayseg.kernels.boundary_counts``).

    Returns:
        The means, ``mIoU``, ``mAcc`` and so on, and ``aAcc``; then ``IoU/<class>`` and so on.

    Raises:
        ShapeError: the matrix does not fit the names, or counts of borders are wanted and missing.

    Example:
        >>> scores(torch.tensor([[3, 1], [0, 4]]), ["road", "car"])
        {'mIoU': 0.775, 'mAcc': 0.875, 'aAcc': 0.875, 'IoU/road': 0.75, 'IoU/car': 0.8, 'Acc/road': 0.75, 'Acc/car': 1.0}
    """
    expected = (len(class_names), len(class_names))
    if confusion.shape != expected:
        raise ShapeError(
            f"scores: the confusion matrix is {tuple(confusion.shape)}; {len(class_names)} class names need {expected}"
        )
    if boundary is None and "mBoundaryIoU" in metrics:
        raise ShapeError("scores: mBoundaryIoU needs the counts of borders, (3, C); give boundary=boundary_counts(...)")
    known = {
        "IoU": iou(confusion),
        "Dice": dice(confusion),
        "Fscore": fscore(confusion, beta=beta),
        "Precision": precision(confusion),
        "Recall": accuracy(confusion),
        "Acc": accuracy(confusion),
        **({} if boundary is None else {"BoundaryIoU": boundary_iou(boundary)}),
    }
    per_class = {name: known[name] for name in known if any(name in METRICS[metric] for metric in metrics)}
    counts = confusion.to(torch.float64)
    means = {f"m{name}": values.nanmean() for name, values in per_class.items()}
    overall = {**means, "aAcc": counts.trace() / counts.sum()}
    named = {
        f"{score}/{name}": value for score, values in per_class.items() for name, value in zip(class_names, values, strict=True)
    }
    keys = [*overall, *named]
    values = torch.stack([*overall.values(), *named.values()]).tolist()
    return {key: value for key, value in zip(keys, values, strict=True) if not math.isnan(value)}
