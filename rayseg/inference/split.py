"""Scores of a model over a split.

Letters: N images, C classes, H x W pixels of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import torch
from torch import Tensor, nn

from rayseg.collective import all_sum
from rayseg.inference.method import Inference
from rayseg.inference.whole import predicted_labels
from rayseg.kernels import Scored, Scoring, boundary_counts, confusion_counts, confusion_of_logits
from rayseg.metrics import DEFAULT_METRICS, Metric, scores
from rayseg.mix import Mix, ValidationLoss
from rayseg.types import MAIN_HEAD, Batch

__all__ = ["evaluate_split"]


def evaluate_split(  # noqa: PLR0913
    model: nn.Module,
    batches: Iterable[tuple[Batch, Sequence[int]]],
    *,
    class_names: Sequence[str],
    ignore_index: int,
    metrics: Collection[Metric] = DEFAULT_METRICS,
    beta: float = 1.0,
    boundary_ratio: float = 0.02,
    mix: Mix | None = None,
    inference: Inference = Inference(),  # noqa: B008  frozen
    autocast: torch.dtype | None = None,
    prefix: str = "val/",
    on_batch: Callable[[Batch, Sequence[int], Tensor], None] | None = None,
    scoring: Scoring | None = None,
) -> tuple[dict[str, float], Tensor]:
    """Scores over a split, exact and the same on every rank: each image counts once, counts are summed once.

    Args:
        model: its mode is left as it was.
        batches: this worker's share, with the index of each image; shares may be uneven or empty.
        class_names: C names.
        ignore_index: label that is not counted.
        metrics: what is scored (see ``rayseg.metrics.scores``).
        beta: of the F-score.
        boundary_ratio: width of the borders of Boundary IoU, of an image's diagonal.
        mix: adds ``loss`` and ``loss/<term>`` of its main head over the split.
        inference: how the model is asked; the loss is that of the same logits.
        autocast: dtype of the forward pass where autocast allows it; None: as the weights are.
        prefix: of every name.
        on_batch: called with the batch, its indices and predicted classes ``(N, H, W)``; for pictures.
        scoring: how logits are counted, without making them at full size; None: plainly.

    Returns:
        Scores as fractions 0-1 by name, and the confusion matrix ``(C, C)`` int64, rows truth, columns prediction.
    """
    device = next(model.parameters()).device
    num_classes = len(class_names)
    counts = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)
    borders = torch.zeros(3, num_classes, dtype=torch.int64, device=device) if "mBoundaryIoU" in metrics else None
    loss = None if mix is None else ValidationLoss(mix.heads[MAIN_HEAD], device)
    was_training = model.training
    model.eval()
    for cpu_batch, indices in batches:
        batch = Batch(*(tensor.to(device) for tensor in cpu_batch))
        logits = inference(model, batch.images, autocast=autocast)
        looked_at = borders is not None or on_batch is not None
        found, prediction = _scored(logits, batch.masks, num_classes, ignore_index, scoring, looked_at)
        counts += found
        if borders is not None and prediction is not None:
            borders += boundary_counts(prediction, batch.masks, num_classes, ignore_index, boundary_ratio)
        if loss is not None:
            with torch.no_grad():
                loss.add(logits, batch.masks, batch.images)
        if on_batch is not None and prediction is not None:
            on_batch(batch, indices, prediction)
    model.train(was_training)
    total, boundary = _total(counts, borders)
    metrics_and_loss = {
        **scores(total, class_names, metrics=metrics, beta=beta, boundary=boundary),
        **({} if loss is None else loss.result()),
    }
    return {f"{prefix}{name}": value for name, value in metrics_and_loss.items()}, total


def _scored(
    logits: Tensor, masks: Tensor, num_classes: int, ignore_index: int, scoring: Scoring | None, looked_at: bool
) -> Scored:
    """Counts of a batch, and classes of its pixels if somebody looks at them."""
    if scoring is not None and max(logits.shape[1], 2) == num_classes:
        fast = confusion_of_logits(logits, masks, ignore_index=ignore_index, scoring=scoring, prediction=looked_at)
        if fast is not None:
            return fast
    prediction = predicted_labels(logits, masks.shape[-2:])
    return Scored(confusion_counts(prediction, masks, num_classes, ignore_index), prediction)


def _total(counts: Tensor, borders: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Both over all workers; one collective."""
    if borders is None:
        return all_sum(counts).cpu(), None
    rows = all_sum(torch.cat([counts, borders])).cpu()
    return rows[: len(counts)], rows[len(counts) :]
