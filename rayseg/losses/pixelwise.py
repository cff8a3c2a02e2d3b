"""Losses with one value per pixel that are functions of the softmax; the mix weights and normalises them.

Logits with one channel are those of two classes, a softmax over (0, z). A soft target has a share for every class instead of a
label: ``(N, C, H, W)``, and ``(N, 1, H, W)``, the share of class 1, for logits with one channel. Nobody can see in it what is
ignored, other than that no class has a share; the mix leaves ignored pixels out.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels import log_probabilities
from rayseg.losses._arguments import class_shares, negative_at_label, require

__all__ = ["cross_entropy", "kl_divergence"]


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int,
    label_smoothing: float = 0.0,
    log_probs: Tensor | None = None,
    nll: Tensor | None = None,
    mean_nll: Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of each pixel, without class weights: the mix multiplies ``class_weight[label]``.

    With smoothing :math:`\epsilon` (Szegedy et al. 2016, "Rethinking the Inception Architecture") the label becomes
    :math:`(1 - \epsilon)` on the true class plus :math:`\epsilon / C` on every class. Without class weights this equals
    torch's; with them torch also weights the uniform part by class, here the whole pixel is weighted by its label.

    Args:
        logits: ``(N, C, H, W)``, or ``(N, 1, H, W)`` for two classes; the half precisions are computed in float32.
        target: ``(N, H, W)`` int64 labels, or a soft target.
        ignore_index: label that means: not labelled; it need not be a class.
        label_smoothing: the :math:`\epsilon` above, 0 to 1.
        log_probs: ``(N, C, H, W)`` log-softmax of the logits, used instead of them when somebody has it already.
        nll: ``(N, H, W)`` its negative at the label, 0 where ignored, used instead of both when somebody has it already.
        mean_nll: ``(N, H, W)`` the mean over classes of its negative, 0 where ignored; the same.

    Returns:
        ``(N, H, W)``, not negative, 0 where ignored; float32, or float64 for float64.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> cross_entropy(torch.zeros(1, 2, 1, 2), torch.tensor([[[1, 255]]]), ignore_index=255)
        tensor([[[0.6931, 0.0000]]])
    """
    require("cross_entropy", "label_smoothing", 0 <= label_smoothing <= 1, "from 0 to 1", label_smoothing)
    if target.ndim == 4:
        log_probs = log_probabilities(logits) if log_probs is None else log_probs
        shares = class_shares(target, log_probs, ignore_index, "cross_entropy")
        shares = torch.lerp(shares, shares.mean(dim=1, keepdim=True), label_smoothing)
        return -(shares * log_probs).sum(dim=1)
    if nll is None or (label_smoothing != 0 and mean_nll is None):
        log_probs = log_probabilities(logits) if log_probs is None else log_probs
        nll = negative_at_label(log_probs, target, ignore_index)
        if label_smoothing != 0:
            mean_nll = (-log_probs.mean(dim=1)).masked_fill(target == ignore_index, 0)
    return nll if label_smoothing == 0 or mean_nll is None else torch.lerp(nll, mean_nll, label_smoothing)


def kl_divergence(logits: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""How much a student's classes differ from a teacher's, :math:`T^2 \sum_c q_c (\log q_c - \log p_c)`.

    p and q are the softmax of logits over T. The factor keeps the gradient's size when T changes (Hinton et al. 2015,
    "Distilling the Knowledge in a Neural Network").

    Args:
        logits: ``(N, C, H, W)`` of the student, or ``(N, 1, H, W)`` for two classes; half precisions in float32.
        teacher: logits in the same form or the other of these; without a gradient, if you want none there.
        temperature: T, above 0; more looks at the improbable classes too.

    Returns:
        ``(N, H, W)``, not negative; float32, or float64 for float64.

    Raises:
        ConfigError: the temperature is not above 0.
        ShapeError: the two have not the same classes or pixels.

    Example:
        >>> student, teacher = torch.zeros(1, 2, 1, 1), torch.tensor([[[[2.0]], [[0.0]]]])
        >>> kl_divergence(student, teacher), kl_divergence(teacher, teacher, temperature=4.0)
        (tensor([[[0.3278]]]), tensor([[[0.]]]))
    """
    require("kl_divergence", "temperature", temperature > 0, "above 0", temperature)
    log_p, log_q = log_probabilities(logits / temperature), log_probabilities(teacher / temperature)
    if log_p.shape != log_q.shape:
        raise ShapeError(
            f"the teacher's logits are {tuple(teacher.shape)} and the student's {tuple(logits.shape)}; "
            "expected the same classes and pixels: name a teacher of the same data"
        )
    return temperature**2 * (log_q.exp() * (log_q - log_p)).sum(dim=1)
