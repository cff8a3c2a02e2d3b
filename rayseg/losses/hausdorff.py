"""A loss that grows with the distance of an error from the border, one value per pixel; the mix weights and normalises it.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rayseg.kernels import log_probabilities
from rayseg.losses._arguments import class_shares, require

__all__ = ["distance_to_border", "hausdorff"]


def distance_to_border(inside: Tensor, valid: Tensor) -> Tensor:
    """Distance of each pixel to the nearest one on the other side, in px, without a gradient; computed on the CPU.

    Pixels that are not labelled are on neither side: distances are measured through them, and theirs are 0. Where one side is
    empty there is no border, and every distance is 0.

    Args:
        inside: ``(..., H, W)`` bool.
        valid: ``(..., H, W)`` bool, broadcast.

    Returns:
        ``(..., H, W)`` float64 on the device of ``inside``.

    Example:
        >>> distance_to_border(torch.tensor([[True, True, False, False]]), torch.tensor([[True, True, True, False]]))
        tensor([[2., 1., 1., 0.]], dtype=torch.float64)
    """
    valid = valid.expand_as(inside)
    shape = (math.prod(inside.shape[:-2]), *inside.shape[-2:])
    mine, theirs = ((side & valid).reshape(shape).cpu().numpy() for side in (inside, ~inside))
    found = np.stack([_distances(a, b) + _distances(b, a) for a, b in zip(mine, theirs, strict=True)]) if len(mine) else mine
    return torch.from_numpy(found.astype(np.float64)).view(inside.shape).to(inside.device)


def _distances(here: NDArray[np.bool_], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """``(H, W)``: of each pixel ``here`` to the nearest ``there``, 0 for all others and where either is empty."""
    if not here.any() or not there.any():
        return np.zeros(here.shape)
    ndimage: Any = importlib.import_module("scipy.ndimage")  # slow, so only for who uses this loss
    distances: NDArray[np.float64] = ndimage.distance_transform_edt(~there) * here
    return distances


def hausdorff(
    logits: Tensor, target: Tensor, *, ignore_index: int, power: float = 2.0, log_probs: Tensor | None = None
) -> Tensor:
    r"""Squared error weighted by distances, :math:`\sum_c (p_c - t_c)^2 (d(p_c)^a + d(t_c)^a)`.

    Source: Karimi and Salcudean 2019, "Reducing the Hausdorff Distance in Medical Image Segmentation with Convolutional Neural
    Networks". d is the distance to the border of the class, in px: of the prediction, where :math:`p_c > 1/2`, and of the
    truth. It has no gradient. Errors far from any border cost as the square of their distance, so a small ``weight`` is usual.
    A class that fills the image, or is not there, has no border and costs nothing. Distances are measured through pixels that
    are not labelled, which are on neither side of any border. MMSegmentation takes the mask of the truth for every class, and
    distances inside only; here each class has its own, on both sides. On a GPU this waits for the CPU.

    Args:
        logits: ``(N, C, H, W)``, or ``(N, 1, H, W)`` for two classes; the half precisions are computed in float32.
        target: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled; it need not be a class.
        power: a, above 0.
        log_probs: ``(N, C, H, W)`` log-softmax of the logits, used instead of them when somebody has it already.

    Returns:
        ``(N, H, W)``, not negative, 0 where ignored; float32, or float64 for float64.

    Raises:
        ConfigError: the power is not above 0.

    Example:
        >>> logits = torch.tensor([[[[9.0, -9.0, -9.0, -9.0]]]])
        >>> hausdorff(logits, torch.tensor([[[1, 1, 0, 255]]]), ignore_index=255).round(decimals=2)
        tensor([[[0., 4., 0., 0.]]])
    """
    require("hausdorff", "power", power > 0, "above 0", power)
    if log_probs is None:
        log_probs = log_probabilities(logits)
    probs, valid = log_probs.exp(), (target != ignore_index)[:, None]
    truth = class_shares(target, probs, ignore_index, "hausdorff")
    far = distance_to_border(probs.detach() > 0.5, valid) ** power + distance_to_border(truth > 0, valid) ** power
    return ((probs - truth).square() * far.to(probs.dtype)).sum(dim=1).masked_fill(~valid[:, 0], 0)
