"""Losses with one value per pixel; the mix weights and normalises them.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["cross_entropy"]


def cross_entropy(
    logits: Tensor, target: Tensor, *, ignore_index: int, label_smoothing: float = 0.0, log_probs: Tensor | None = None
) -> Tensor:
    r"""Cross-entropy of each pixel, without class weights: the mix multiplies ``class_weight[target]``.

    With smoothing :math:`\epsilon` (Szegedy et al. 2016, "Rethinking the Inception Architecture") the label becomes
    :math:`(1 - \epsilon)` on the true class plus :math:`\epsilon / C` on every class. Without class weights this equals
    torch's; with them torch also weights the uniform part by class, here the whole pixel is weighted by its label.

    Args:
        logits: ``(N, C, H, W)``; the half precisions are computed in float32.
        target: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled; it need not be a class.
        label_smoothing: the :math:`\epsilon` above, 0 to 1.
        log_probs: ``(N, C, H, W)`` log-softmax of the logits, used instead of them when somebody has it already.

    Returns:
        ``(N, H, W)``, not negative, 0 where ignored; float32, or float64 for float64.

    Example:
        >>> cross_entropy(torch.zeros(1, 2, 1, 2), torch.tensor([[[1, 255]]]), ignore_index=255)
        tensor([[[0.6931, 0.0000]]])
    """
    if log_probs is None:
        log_probs = F.log_softmax(logits, dim=1, dtype=torch.promote_types(logits.dtype, torch.float32))
    loss = F.nll_loss(log_probs, target, ignore_index=ignore_index, reduction="none")
    if label_smoothing == 0:
        return loss
    uniform = log_probs.mean(dim=1).neg().masked_fill(target == ignore_index, 0)
    return torch.lerp(loss, uniform, label_smoothing)
