"""Cross-entropy summed over pixels whose weights are known before their losses: forward and gradient in one pass.

Where the weight of a pixel is that of its label, the gradient at the logits is known up to one factor as soon as the softmax
is: so it is made forward, and backward only multiplied. That spares the second exponential of each element, and every map of
pixels. It is kept from forward to backward, as large as the logits at their own stride, and given away there: who goes back
again through a graph that was retained pays for it again.

Letters: N images, C classes, H x W pixels of the labels, h x w pixels of the logits.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels.statistics import Inputs, Wanted, prepared

__all__ = ["SummedCrossEntropy", "SumsCrossEntropy", "summed_cross_entropy"]


class SummedCrossEntropy(NamedTuple):
    """Over labelled pixels, ``()`` each.

    Args:
        loss: sum of cross-entropy times the weight of the label; differentiable in the logits.
        weight: sum of the weights.
    """

    loss: Tensor
    weight: Tensor


@runtime_checkable
class SumsCrossEntropy(Protocol):
    """What a backend of the statistics may be able to do besides."""

    def cross_entropy(self, inputs: Inputs, class_weight: Tensor, label_smoothing: float) -> tuple[Tensor, Tensor]:
        """Both sums ``(2,)`` float64, and the gradient ``(N, C, h, w)`` of the first; ``class_weight`` is ``(C,)`` float32."""
        ...


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, inputs: Inputs, class_weight: Tensor, label_smoothing: float, backend: SumsCrossEntropy
    ) -> tuple[Tensor, Tensor]:
        ctx.compute = partial(backend.cross_entropy, inputs, class_weight, label_smoothing)
        sums, ctx.gradient = ctx.compute()
        ctx.save_for_backward(logits, inputs.target, class_weight)
        loss, weight = (each.to(logits.dtype) for each in sums)
        ctx.mark_non_differentiable(weight)
        return loss, weight

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None, None]:
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:  # an earlier pass back had it; these are also proof that nobody wrote into them meanwhile
            _, _, _ = ctx.saved_tensors
            _, gradient = ctx.compute()
        return gradient.mul_(grad_outputs[0]), None, None, None, None


def summed_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int,
    backend: SumsCrossEntropy,
    class_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    align_corners: bool = False,
) -> SummedCrossEntropy:
    """Both sums, of upsampled logits; differentiable once, in float32.

    Args:
        logits: ``(N, C, h, w)``, or ``(N, 1, h, w)`` for two classes; the half precisions are computed in float32.
        target: ``(N, H, W)`` integers: labels in ``[0, C)``, or ``ignore_index``.
        ignore_index: label that means: not labelled; it need not be a class.
        backend: what computes them, such as ``compiled_backend()``.
        class_weight: ``(C,)``; None: 1 for each.
        label_smoothing: as in ``rayseg.losses.cross_entropy``, 0 to 1.
        align_corners: how the logits are upsampled, as in torch's ``interpolate``.

    Raises:
        ShapeError: logits, labels and weights do not fit, or a label is no class.

    Example:
        >>> from rayseg.kernels import compiled_backend
        >>> logits, target = torch.zeros(1, 2, 1, 1, requires_grad=True), torch.tensor([[[0, 1], [1, 255]]])
        >>> backend = compiled_backend()
        >>> backend is None or summed_cross_entropy(logits, target, ignore_index=255, backend=backend).weight.item() == 3
        True
    """
    logits, inputs = prepared(logits, target, ignore_index, align_corners, Wanted(), frozenset({torch.float32}))
    num_classes = logits.shape[1]
    weight = logits.new_ones(num_classes) if class_weight is None else class_weight.to(logits).contiguous()
    if weight.shape != (num_classes,):
        raise ShapeError(f"class weights {tuple(weight.shape)} for logits of {num_classes} classes; expected ({num_classes},)")
    return SummedCrossEntropy(*_Summed.apply(logits, inputs, weight, label_smoothing, backend))
