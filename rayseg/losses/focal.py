"""Focal loss of the softmax, one value per pixel; the mix weights and normalises it.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rayseg.kernels import log_probabilities
from rayseg.losses._arguments import class_shares, negative_at_label, per_class, require

__all__ = ["focal"]


def focal(
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int,
    gamma: float = 2.0,
    alpha: float | tuple[float, ...] | None = None,
    log_probs: Tensor | None = None,
    nll: Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy that counts less where the model is right, :math:`-\alpha_y (1 - p_y)^\gamma \log p_y`.

    Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", in the form for several classes. A soft target takes the
    mean of this over the classes by their shares.

    Args:
        logits: ``(N, C, H, W)``, or ``(N, 1, H, W)`` for two classes; the half precisions are computed in float32.
        target: ``(N, H, W)`` int64 labels, or a soft target.
        ignore_index: label that means: not labelled; it need not be a class.
        gamma: 0 or more; 0 is cross-entropy.
        alpha: one number for each class; or one from 0 to 1 for all classes but the first, which has one minus it (with two
            classes that is the paper's); None: 1.
        log_probs: ``(N, C, H, W)`` log-softmax of the logits, used instead of them when somebody has it already.
        nll: ``(N, H, W)`` its negative at the label, 0 where ignored, used instead of both when somebody has it already.

    Returns:
        ``(N, H, W)``, not negative, 0 where ignored; float32, or float64 for float64.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> focal(torch.zeros(1, 2, 1, 2), torch.tensor([[[1, 255]]]), ignore_index=255, alpha=0.25)
        tensor([[[0.0433, 0.0000]]])
    """
    require("focal", "gamma", gamma >= 0, "0 or more", gamma)
    if target.ndim == 4:
        log_probs = log_probabilities(logits) if log_probs is None else log_probs
        shares = class_shares(target, log_probs, ignore_index, "focal")
        return (_unweighted(log_probs, gamma) * shares * _weight(alpha, log_probs)[:, None, None]).sum(dim=1)
    if nll is None:
        nll = negative_at_label(log_probabilities(logits) if log_probs is None else log_probs, target, ignore_index)
    valid = target != ignore_index
    loss = _unweighted(-nll, gamma).masked_fill(~valid, 0)
    if alpha is None:
        return loss
    weight = _weight(alpha, nll.new_empty(1, max(2, logits.shape[1])))
    return loss * weight[target.where(valid, 0)]


def _unweighted(log_probs: Tensor, gamma: float) -> Tensor:
    """The clamp leaves the power a finite slope where a probability is 1."""
    wrong = (-torch.expm1(log_probs)).clamp(min=torch.finfo(log_probs.dtype).tiny)
    return -log_probs * wrong**gamma


def _weight(alpha: float | tuple[float, ...] | None, like: Tensor) -> Tensor:
    """Alpha ``(C,)`` in the dtype of ``like`` ``(N, C, ...)``."""
    num_classes = like.shape[1]
    if alpha is None:
        return like.new_ones(num_classes)
    if isinstance(alpha, Sequence):
        return per_class(alpha, like, "focal", "alpha")
    require("focal", "alpha", 0 <= alpha <= 1, "from 0 to 1, or a number for each class", alpha)
    return torch.cat([like.new_full((1,), 1 - alpha), like.new_full((num_classes - 1,), alpha)])
