"""Scores of a checkpoint with what each image has given to them.

Letters: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rayseg.build.parts import Components
from rayseg.build.trained import evaluator_of
from rayseg.kernels import confusion_counts
from rayseg.types import Batch

__all__ = ["ImageScores", "evaluate_images"]


@dataclass(frozen=True)
class ImageScores:
    """Scores over a split, and what each image has given to them.

    Args:
        metrics: as :func:`rayseg.evaluate` gives them.
        counts: ``(N, 3, C)`` int64: pixels of each class that were found, labelled and predicted, by image, in the order of
            the split.
        class_names: C names.
    """

    metrics: dict[str, float]
    counts: Tensor
    class_names: tuple[str, ...]


def evaluate_images(
    checkpoint: str | Path,
    *,
    split: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    components: Components | None = None,
) -> ImageScores:
    """:func:`rayseg.evaluate`, with the counts of each image, from which the scores of any subset follow.

    Args:
        checkpoint: directory of a checkpoint.
        split: see :func:`rayseg.evaluate`.
        overrides: dotted config key -> value.
        components: name -> callable, for what was given to the training by value.

    Raises:
        CheckpointError: there is no whole checkpoint, or its weights do not fit the config.
        ConfigError: the data cannot be opened, or a part cannot be made.

    Example:
        >>> evaluate_images("runs/camvid/checkpoints/step_00000300").counts.shape  # doctest: +SKIP
        torch.Size([101, 3, 11])
    """
    evaluator, model = evaluator_of(checkpoint, split, overrides, components)
    num_classes = len(evaluator.class_names)
    counts = torch.zeros(len(evaluator.dataset), 3, num_classes, dtype=torch.int64)

    def count(batch: Batch, indices: Sequence[int], prediction: Tensor) -> None:
        for index, mask, labels in zip(indices, batch.masks, prediction, strict=True):
            matrix = confusion_counts(labels[None], mask[None], num_classes, evaluator.config.data.ignore_index)
            counts[index] = torch.stack([matrix.diagonal(), matrix.sum(1), matrix.sum(0)]).cpu()

    evaluator.on_batch = count
    return ImageScores(evaluator(model), counts, evaluator.class_names)
