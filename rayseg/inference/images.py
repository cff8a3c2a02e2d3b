"""Masks of images that come one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rayseg.data import normalize
from rayseg.inference.method import Inference
from rayseg.inference.whole import predicted_labels

__all__ = ["predict_images"]


def predict_images(
    model: nn.Module,
    images: Iterable[NDArray[np.uint8]],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    inference: Inference = Inference(),  # noqa: B008  frozen
) -> Iterator[NDArray[np.uint8]]:
    """Masks ``(H, W)`` of images ``(H, W, 3)`` uint8 RGB, one at a time, at the size of each image.

    Args:
        model: its mode is left as it was.
        images: of any sizes.
        mean: of RGB in 0-255, as in training.
        std: of RGB in 0-255, as in training.
        inference: how the model is asked.

    Example:
        >>> picture = np.zeros((4, 6, 3), np.uint8)
        >>> next(predict_images(nn.Conv2d(3, 2, 2, stride=2), [picture], mean=(0, 0, 0), std=(1, 1, 1))).shape
        (4, 6)
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        for image in images:
            tensor = torch.from_numpy(normalize(image, mean, std))[None].to(device)
            yield predicted_labels(inference(model, tensor), image.shape[:2])[0].to(torch.uint8).cpu().numpy()
    finally:
        model.train(was_training)
