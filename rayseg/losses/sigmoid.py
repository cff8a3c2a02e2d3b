"""Losses with one value per pixel that take every channel for a yes or no of its own; the mix weights and normalises them.

The value of a pixel is the mean over its channels. With one channel, that of class 1, it is the value of that channel.

Letters: N images, C classes, H x W pixels, K channels: C, or 1 for two classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.losses._arguments import class_shares, per_class, require

__all__ = ["binary_cross_entropy", "sigmoid_focal"]


def _precise(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _mean(values: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """Over channels ``(N, K, H, W)``; 0 where labels are ignored."""
    mean = values.mean(dim=1)
    return mean.masked_fill(target == ignore_index, 0) if target.ndim == 3 else mean


def binary_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int,
    pos_weight: float | tuple[float, ...] | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    r"""Binary cross-entropy of each pixel against the one-hot form of its label, the mean over channels.

    torch's ``binary_cross_entropy_with_logits``, and MMSegmentation's ``CrossEntropyLoss(use_sigmoid=True)``, whose mean over
    all ``N * C * H * W`` is that of the mix with ``normalize: all``. Class weights belong to the mix and weight a pixel by its
    label; ``pos_weight`` weights the answer yes in each channel.

    Args:
        logits: ``(N, K, H, W)``; the half precisions are computed in float32.
        target: ``(N, H, W)`` int64 labels, or a soft target ``(N, K, H, W)`` with elements 0 to 1.
        ignore_index: label that means: not labelled; it need not be a class.
        pos_weight: one number, or one for each channel; 0 or more.
        label_smoothing: :math:`\epsilon`, 0 to 1: a target t becomes :math:`(1 - \epsilon) t + \epsilon / 2`.

    Returns:
        ``(N, H, W)``, not negative, 0 where ignored; float32, or float64 for float64.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> binary_cross_entropy(torch.zeros(1, 1, 1, 2), torch.tensor([[[1, 255]]]), ignore_index=255, pos_weight=2.0)
        tensor([[[1.3863, 0.0000]]])
    """
    where, logits = "binary_cross_entropy", _precise(logits)
    require(where, "label_smoothing", 0 <= label_smoothing <= 1, "from 0 to 1", label_smoothing)
    shares = class_shares(target, logits, ignore_index, where) * (1 - label_smoothing) + label_smoothing / 2
    weight = None
    if pos_weight is not None:
        values = pos_weight if isinstance(pos_weight, Sequence) else (pos_weight,) * logits.shape[1]
        weight = per_class(values, logits, where, "pos_weight")[:, None, None]
    loss = F.binary_cross_entropy_with_logits(logits, shares, pos_weight=weight, reduction="none")
    return _mean(loss, target, ignore_index)


def sigmoid_focal(
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int,
    gamma: float = 2.0,
    alpha: float | tuple[float, ...] | None = 0.25,
) -> Tensor:
    r"""Focal loss of each channel, :math:`\alpha_t (1 - p_t)^\gamma \cdot BCE`, the mean over channels.

    Source: Lin et al. 2017, "Focal Loss for Dense Object Detection"; element by element torchvision's ``sigmoid_focal_loss``.
    :math:`p_t` is the probability of the right answer, :math:`\alpha_t` is alpha where the answer is yes, else one minus alpha.
    MMSegmentation's ``FocalLoss`` has alpha 0.5 and divides by all pixels (``normalize: all``).

    Args:
        logits: ``(N, K, H, W)``; the half precisions are computed in float32.
        target: ``(N, H, W)`` int64 labels, or a soft target ``(N, K, H, W)`` with elements 0 to 1.
        ignore_index: label that means: not labelled; it need not be a class.
        gamma: 0 or more; 0 is binary cross-entropy with weights.
        alpha: one number from 0 to 1, one for each channel, or None for no weights.

    Returns:
        ``(N, H, W)``, not negative, 0 where ignored; float32, or float64 for float64.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> sigmoid_focal(torch.zeros(1, 1, 1, 2), torch.tensor([[[1, 255]]]), ignore_index=255)
        tensor([[[0.0433, 0.0000]]])
    """
    where, logits = "sigmoid_focal", _precise(logits)
    require(where, "gamma", gamma >= 0, "0 or more", gamma)
    shares = class_shares(target, logits, ignore_index, where)
    loss = F.binary_cross_entropy_with_logits(logits, shares, reduction="none")
    wrong = shares * torch.sigmoid(-logits) + (1 - shares) * torch.sigmoid(logits)
    loss = loss * wrong.clamp(min=torch.finfo(wrong.dtype).tiny) ** gamma
    if alpha is not None:
        values = alpha if isinstance(alpha, Sequence) else (alpha,) * logits.shape[1]
        require(where, "alpha", all(0 <= value <= 1 for value in values), "from 0 to 1", alpha)
        yes = per_class(values, logits, where, "alpha")[:, None, None]
        loss = loss * (yes * shares + (1 - yes) * (1 - shares))
    return _mean(loss, target, ignore_index)
