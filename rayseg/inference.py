"""A trained model on images: scores over a split, masks, pictures.

Letters: N images, C classes, H x W pixels of the image, h x w pixels of the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rayseg.collective import all_sum
from rayseg.data import normalize
from rayseg.kernels import confusion_counts, predicted_classes
from rayseg.metrics import DEFAULT_METRICS, Metric, scores
from rayseg.mix import Mix, ValidationLoss
from rayseg.models import autocasting, named_logits
from rayseg.types import MAIN_HEAD, Batch

__all__ = ["evaluate_split", "predict_images", "predict_logits"]


@torch.no_grad()
def predict_logits(model: nn.Module, images: Tensor, *, autocast: torch.dtype | None = None) -> Tensor:
    """Logits ``(N, C, h, w)`` of the main head, in evaluation mode.

    Args:
        model: returns named logits or one tensor.
        images: ``(N, 3, H, W)``, normalised.
        autocast: dtype of the forward pass where autocast allows it; None: as the weights are.
    """
    with autocasting(images.device, autocast):
        return named_logits(model(images))[MAIN_HEAD]


def evaluate_split(
    model: nn.Module,
    batches: Iterable[tuple[Batch, Sequence[int]]],
    *,
    class_names: Sequence[str],
    ignore_index: int,
    metrics: Collection[Metric] = DEFAULT_METRICS,
    beta: float = 1.0,
    mix: Mix | None = None,
    autocast: torch.dtype | None = None,
    prefix: str = "val/",
    on_batch: Callable[[Batch, Sequence[int], Tensor], None] | None = None,
) -> tuple[dict[str, float], Tensor]:
    """Scores over a split, exact and the same on every rank: each image counts once, counts are summed once.

    Args:
        model: its mode is left as it was.
        batches: this worker's share, with the index of each image; shares may be uneven or empty.
        class_names: C names.
        ignore_index: label that is not counted.
        metrics: what is scored (see ``rayseg.metrics.scores``).
        beta: of the F-score.
        mix: adds ``loss`` and ``loss/<term>`` of its main head over the split.
        autocast: dtype of the forward pass where autocast allows it; None: as the weights are.
        prefix: of every name.
        on_batch: called with the batch, its indices and predicted classes ``(N, H, W)``; for pictures.

    Returns:
        Scores as fractions 0-1 by name, and the confusion matrix ``(C, C)`` int64, rows truth, columns prediction.
    """
    device = next(model.parameters()).device
    num_classes = len(class_names)
    counts = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)
    loss = None if mix is None else ValidationLoss(mix.heads[MAIN_HEAD], device)
    was_training = model.training
    model.eval()
    for cpu_batch, indices in batches:
        batch = Batch(*(tensor.to(device) for tensor in cpu_batch))
        logits = predict_logits(model, batch.images, autocast=autocast)
        prediction = classes_of(logits, batch.masks.shape[-2:])
        counts += confusion_counts(prediction, batch.masks, num_classes, ignore_index)
        if loss is not None:
            with torch.no_grad():
                loss.add(logits, batch.masks, batch.images)
        if on_batch is not None:
            on_batch(batch, indices, prediction)
    model.train(was_training)
    total = all_sum(counts).cpu()
    found = {**scores(total, class_names, metrics=metrics, beta=beta), **({} if loss is None else loss.result())}
    return {f"{prefix}{name}": value for name, value in found.items()}, total


def classes_of(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Class of every pixel ``(N, H, W)``: bilinear to ``size``, then the most probable."""
    if logits.shape[-2:] != torch.Size(size):
        logits = F.interpolate(logits.float(), size=tuple(size), mode="bilinear", align_corners=False)
    return predicted_classes(logits)


def predict_images(
    model: nn.Module,
    images: Iterable[NDArray[np.uint8]],
    *,
    mean: Sequence[float],
    std: Sequence[float],
) -> Iterator[NDArray[np.uint8]]:
    """Masks ``(H, W)`` of images ``(H, W, 3)`` uint8 RGB, one at a time, at the size of each image.

    Args:
        model: its mode is left as it was.
        images: of any sizes.
        mean: of RGB in 0-255, as in training.
        std: of RGB in 0-255, as in training.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        for image in images:
            tensor = torch.from_numpy(normalize(image, mean, std))[None].to(device)
            yield classes_of(predict_logits(model, tensor), image.shape[:2])[0].to(torch.uint8).cpu().numpy()
    finally:
        model.train(was_training)
