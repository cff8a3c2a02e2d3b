"""What losses need of a head's logits, without the logits at full size.

One description for every backend. The logits stay at the head's own stride; a backend upsamples a few rows at a time, takes
from them what is listed below, and forgets them. Its backward pass does the same again and goes straight to the gradient at
the stride. With z the logits upsampled bilinearly, p their softmax, y the label and v whether it is one:

    nll                      -log p_y, of each pixel; 0 where ignored
    mean_nll                 -mean_c log p_c, of each pixel; 0 where ignored
    intersection             sum over pixels of v p_c [y = c], of each image and class
    prediction               sum of v p_c
    prediction_squared       sum of v p_c^2
    target                   sum of v [y = c]
    void_prediction          sum of (1 - v) p_c
    void_prediction_squared  sum of (1 - v) p_c^2

Cross-entropy, label smoothing, focal loss and hard example mining are functions of the first two, Dice, Jaccard and Tversky in
every definition functions of the others.

Letters: N images, C classes, H x W pixels of the labels, h x w pixels of the logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from rayseg.errors import ShapeError

__all__ = ["Backend", "ClassSums", "Gradients", "Inputs", "PixelStatistics", "Raw", "Wanted", "pixel_statistics", "prepared"]


class ClassSums(NamedTuple):
    """Sums over the pixels of each image and class, ``(N, C)`` each; see the top of the module."""

    intersection: Tensor
    prediction: Tensor
    prediction_squared: Tensor
    target: Tensor
    void_prediction: Tensor
    void_prediction_squared: Tensor


@dataclass(frozen=True)
class Wanted:
    """What to compute besides ``nll``.

    Args:
        mean_nll: the mean over classes of -log p, of each pixel.
        sums: the class sums over labelled pixels.
        void: those over ignored pixels too; 0 otherwise. Only with ``sums``.
    """

    mean_nll: bool = False
    sums: bool = False
    void: bool = False

    def __or__(self, other: Wanted) -> Wanted:
        """Everything that one of them wants.

        Example:
            >>> Wanted(mean_nll=True) | Wanted(sums=True)
            Wanted(mean_nll=True, sums=True, void=False)
        """
        return Wanted(self.mean_nll or other.mean_nll, self.sums or other.sums, self.void or other.void)


class PixelStatistics(NamedTuple):
    """What was wanted; differentiable in the logits, but for ``sums.target``.

    Args:
        nll: ``(N, H, W)``, not negative, 0 where ignored.
        mean_nll: ``(N, H, W)``, 0 where ignored; None unless wanted.
        sums: of each image and class; None unless wanted.
    """

    nll: Tensor
    mean_nll: Tensor | None
    sums: ClassSums | None


@dataclass(frozen=True)
class Inputs:
    """What a backend is given.

    Args:
        logits: ``(N, C, h, w)``, contiguous, C at least 2; of a kind that the backend reads.
        target: ``(N, H, W)`` int64, contiguous: labels in ``[0, C)``, or ``ignore_index``.
        ignore_index: label that means: not labelled; it may be a class, which is then ignored.
        align_corners: whether the corners of both grids are the same points, as in torch's ``interpolate``.
        wanted: what to compute.
    """

    logits: Tensor
    target: Tensor
    ignore_index: int
    align_corners: bool
    wanted: Wanted


class Raw(NamedTuple):
    """What a backend computes: ``nll`` and ``mean_nll`` ``(N, H, W)`` float32, ``sums`` ``(N, 6, C)`` float64.

    ``log_sum`` ``(N, H, W)`` float32 is log sum_c exp z_c, from a backend whose backward pass takes that instead of ``nll``.
    """

    nll: Tensor
    mean_nll: Tensor | None
    sums: Tensor | None
    log_sum: Tensor | None = None


class Gradients(NamedTuple):
    """Of the total with respect to each output, None where it is 0: ``(N, H, W)``, ``(N, H, W)``, ``(N, 6, C)``; float32."""

    nll: Tensor | None
    mean_nll: Tensor | None
    sums: Tensor | None


class Backend(Protocol):
    """One way to compute them. Results do not depend on threads, nor those of an image on other images."""

    @property
    def name(self) -> str:
        """What a log calls it."""
        ...

    @property
    def device(self) -> str | None:
        """Type of the only device on which it is used; None: any."""
        ...

    @property
    def reads(self) -> frozenset[torch.dtype]:
        """Kinds of logits that it reads; others are given to it as float32."""
        ...

    def forward(self, inputs: Inputs) -> Raw:
        """The statistics."""
        ...

    def backward(self, inputs: Inputs, saved: Tensor, gradients: Gradients) -> Tensor:
        """Gradient ``(N, C, h, w)`` at the logits, given ``log_sum`` of the forward pass, or ``nll`` where that is None."""
        ...


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, inputs: Inputs, backend: Backend) -> Any:
        raw = backend.forward(inputs)
        ctx.save_for_backward(logits, inputs.target, raw.nll if raw.log_sum is None else raw.log_sum)
        ctx.inputs, ctx.backend = inputs, backend
        ctx.set_materialize_grads(False)
        return raw.nll, raw.mean_nll, None if raw.sums is None else raw.sums.to(raw.nll.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor, None, None]:
        logits, _, saved = ctx.saved_tensors  # also proof that nobody wrote into the logits meanwhile
        given = (None if each is None else each.contiguous() for each in grad_outputs)
        return ctx.backend.backward(ctx.inputs, saved, Gradients(*given)).to(logits.dtype), None, None


def prepared(
    logits: Tensor, target: Tensor, ignore_index: int, align_corners: bool, wanted: Wanted, reads: frozenset[torch.dtype]
) -> tuple[Tensor, Inputs]:
    """Logits of a kind that a backend reads, of two classes at least, and the inputs that it gets of them, without a graph.

    Raises:
        ShapeError: logits and labels do not fit.

    Example:
        >>> target = torch.zeros(1, 4, 4).byte()
        >>> logits, inputs = prepared(torch.zeros(1, 1, 2, 2).half(), target, 255, False, Wanted(), frozenset({torch.float32}))
        >>> logits.shape, logits.dtype, inputs.target.dtype
        (torch.Size([1, 2, 2, 2]), torch.float32, torch.int64)
    """
    if logits.ndim != 4 or target.ndim != 3 or logits.shape[0] != target.shape[0]:
        raise ShapeError(
            f"logits {tuple(logits.shape)} do not fit masks {tuple(target.shape)}; expected (N, C, h, w) and (N, H, W)"
        )
    logits = logits if logits.dtype in reads else logits.float()
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    logits = logits.contiguous()
    labels = target.to(logits.device, torch.int64).contiguous()
    return logits, Inputs(logits.detach(), labels, ignore_index, align_corners, wanted)


def pixel_statistics(
    logits: Tensor, target: Tensor, *, ignore_index: int, wanted: Wanted, backend: Backend, align_corners: bool = False
) -> PixelStatistics:
    """The statistics of upsampled logits, differentiable once, in float32.

    Args:
        logits: ``(N, C, h, w)``, or ``(N, 1, h, w)`` for two classes, a softmax over (0, z); the half precisions are computed
            in float32, and their gradient is rounded once.
        target: ``(N, H, W)`` integers: labels in ``[0, C)``, or ``ignore_index``.
        ignore_index: label that means: not labelled; it need not be a class.
        wanted: what is computed besides ``nll``.
        backend: what computes it.
        align_corners: how the logits are upsampled, as in torch's ``interpolate``.

    Raises:
        ShapeError: logits and labels do not fit, or a label is no class.

    Example:
        >>> from rayseg.kernels import Strips
        >>> logits, target = torch.zeros(1, 2, 1, 1), torch.tensor([[[0, 1], [1, 255]]])
        >>> found = pixel_statistics(logits, target, ignore_index=255, wanted=Wanted(sums=True), backend=Strips())
        >>> found.nll
        tensor([[[0.6931, 0.6931],
                 [0.6931, 0.0000]]])
        >>> found.sums.intersection, found.sums.prediction
        (tensor([[0.5000, 1.0000]]), tensor([[1.5000, 1.5000]]))
    """
    logits, inputs = prepared(logits, target, ignore_index, align_corners, wanted, backend.reads)
    nll, mean_nll, sums = _Statistics.apply(logits, inputs, backend)
    return PixelStatistics(nll, mean_nll, None if sums is None else ClassSums(*sums.unbind(1)))
