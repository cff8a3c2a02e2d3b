"""The statistics of upsampled logits in plain torch, a strip of rows at a time: on any device, without a compiler.

A strip is upsampled, used and forgotten, so memory is that of one strip. What is interpolated between two columns is kept for
all rows of the strip that need it; rows are interpolated by a product with a small matrix.

Letters: C classes, R rows of a strip, S rows of the logits that it touches, H x W pixels, h x w pixels of the logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rayseg.kernels.statistics import Gradients, Inputs, Raw

__all__ = ["Strips"]

#: Elements of a strip at full size; it is read several times, so it should stay in a cache.
_STRIP_ELEMENTS = 1 << 19


@dataclass(frozen=True)
class _Axis:
    """Linear interpolation along an axis: value ``i`` is that of ``low[i]`` and ``high[i]``, the latter by ``share[i]``."""

    low: Tensor
    high: Tensor
    share: Tensor

    @classmethod
    def between(cls, size_in: int, size_out: int, align_corners: bool, like: Tensor) -> _Axis:
        """Where torch's ``interpolate`` looks; computed in float64, so that the shares are rounded once."""
        place = torch.arange(size_out, dtype=torch.float64, device=like.device)
        if align_corners:
            place = place * ((size_in - 1) / (size_out - 1) if size_out > 1 else 0.0)
        else:
            place = ((place + 0.5) * (size_in / size_out) - 0.5).clamp(min=0)
        low = place.long().clamp(max=size_in - 1)
        return cls(low, (low + 1).clamp(max=size_in - 1), (place - low).to(like.dtype))

    def matrix(self, first: int, last: int) -> tuple[slice, Tensor]:
        """The inputs that outputs ``[first, last)`` touch, and the matrix ``(last - first, touched)`` that mixes them."""
        touched = slice(int(self.low[first]), int(self.high[last - 1]) + 1)
        rows = torch.arange(last - first, device=self.low.device)
        mixing = self.share.new_zeros(last - first, touched.stop - touched.start)
        mixing[rows, self.low[first:last] - touched.start] += 1 - self.share[first:last]
        mixing[rows, self.high[first:last] - touched.start] += self.share[first:last]
        return touched, mixing

    def expand(self, values: Tensor) -> Tensor:
        """Values ``(C, S, w)`` to ``(C, S, W)``."""
        return torch.lerp(values.index_select(-1, self.low), values.index_select(-1, self.high), self.share)

    def fold(self, gradient: Tensor, size_in: int) -> Tensor:
        """The transpose of :meth:`expand`: ``(C, S, W)`` to ``(C, S, w)``."""
        upper = gradient * self.share
        folded = gradient.new_zeros(*gradient.shape[:2], size_in)
        return folded.index_add_(2, self.high, upper).index_add_(2, self.low, gradient - upper)


@dataclass(frozen=True)
class _Strip:
    """Rows of one image at full size."""

    image: int
    rows: slice
    touched: slice
    mixing: Tensor  # (R, S)
    z: Tensor  # (C, R, W)
    label: Tensor  # (R, W), 0 where ignored
    valid: Tensor  # (R, W) bool


def _strips(inputs: Inputs, columns: _Axis) -> Iterator[_Strip]:
    (num_images, num_classes, height_in, _), (_, height, width) = inputs.logits.shape, inputs.target.shape
    lines = _Axis.between(height_in, height, inputs.align_corners, inputs.logits)
    step = max(1, _STRIP_ELEMENTS // (num_classes * width))
    parts = [(slice(first, min(first + step, height))) for first in range(0, height, step)]
    mixings = [lines.matrix(part.start, part.stop) for part in parts]
    for image in range(num_images):
        for part, (touched, mixing) in zip(parts, mixings, strict=True):
            target = inputs.target[image, part]
            valid = target != inputs.ignore_index
            z = mixing @ columns.expand(inputs.logits[image, :, touched])
            yield _Strip(image, part, touched, mixing, z, target.where(valid, 0), valid)


def _columns(inputs: Inputs) -> _Axis:
    return _Axis.between(inputs.logits.shape[3], inputs.target.shape[2], inputs.align_corners, inputs.logits)


def _class_sums(strip: _Strip, log_probs: Tensor, nll: Tensor, void: bool) -> Tensor:
    """Sums ``(6, C)`` in float64 over a strip."""
    probs = log_probs.exp()
    sums = probs.new_zeros(6, len(probs), dtype=torch.float64)
    label, valid = strip.label.flatten(), strip.valid.flatten()
    sums[0].scatter_add_(0, label, nll.neg().exp().flatten().double() * valid)
    sums[3].scatter_add_(0, label, valid.double())
    mask = strip.valid.to(probs.dtype)
    for index in (1, 2):
        sums[index] = _sum_where(mask, probs)
        if void:
            sums[index + 3] = _sum_where(1 - mask, probs)
        probs = probs.square_()
    return sums


def _sum_where(weight: Tensor, values: Tensor) -> Tensor:
    """Sums ``(C,)`` in float64 of values ``(C, R, W)`` times weights ``(R, W)``, float32 within a row only."""
    return (values * weight).sum(-1).double().sum(-1)


def _at_full_size(strip: _Strip, inputs: Inputs, gradients: Gradients) -> Tensor:
    """Gradient ``(C, R, W)`` at the logits of a strip."""
    here = (strip.image, strip.rows)
    none = strip.z.new_zeros(())
    of_nll = none if gradients.nll is None else gradients.nll[here] * strip.valid
    of_mean = none if gradients.mean_nll is None else gradients.mean_nll[here] * strip.valid
    probs = strip.z.softmax(0)
    through_p = of_nll + of_mean
    at_label = -of_nll.expand(strip.label.shape)
    if gradients.sums is None:
        slope = probs * through_p
    else:
        of_sums = gradients.sums[strip.image]  # (6, C)
        each = _slope_of_sums(strip, probs, of_sums, inputs.wanted.void)
        p_true = probs.gather(0, strip.label[None])[0]
        of_label = of_sums[0].index_select(0, strip.label.flatten()).view_as(p_true) * p_true * strip.valid
        through_p = through_p - of_label - (probs * each).sum(0)
        at_label = at_label + of_label
        slope = each.add_(through_p).mul_(probs)
    slope.scatter_add_(0, strip.label[None], at_label[None])
    return slope if gradients.mean_nll is None else slope.sub_(of_mean / len(slope))


def _slope_of_sums(strip: _Strip, probs: Tensor, of_sums: Tensor, void: bool) -> Tensor:
    """What the sums other than the intersection add to the total for each probability, ``(C, R, W)``."""

    def slope(linear: Tensor, square: Tensor) -> Tensor:
        return torch.addcmul(linear[:, None, None], probs, square[:, None, None], value=2)

    labelled = slope(of_sums[1], of_sums[2])
    return labelled.where(strip.valid, slope(of_sums[4], of_sums[5])) if void else labelled.mul_(strip.valid)


@dataclass(frozen=True)
class Strips:
    """Backend of ``pixel_statistics`` in plain torch; see the top of the module.

    Args:
        device: type of the only device on which it is used, such as ``cpu``; None: any.
        name: what a log calls it.

    Example:
        >>> Strips().name
        'strips'
    """

    device: str | None = None
    name: str = "strips"
    reads: frozenset[torch.dtype] = frozenset({torch.float32})

    def forward(self, inputs: Inputs) -> Raw:
        """The statistics."""
        logits, target, wanted = inputs.logits, inputs.target, inputs.wanted
        nll = logits.new_empty(target.shape)
        mean_nll = torch.empty_like(nll) if wanted.mean_nll else None
        sums = logits.new_zeros(len(logits), 6, logits.shape[1], dtype=torch.float64) if wanted.sums else None
        for strip in _strips(inputs, _columns(inputs)):
            log_probs = strip.z.log_softmax(0)
            here = (strip.image, strip.rows)
            nll[here] = of_label = (-log_probs.gather(0, strip.label[None])[0]).masked_fill(~strip.valid, 0)
            if mean_nll is not None:
                mean_nll[here] = (-log_probs.mean(0)).masked_fill(~strip.valid, 0)
            if sums is not None:
                sums[strip.image] += _class_sums(strip, log_probs, of_label, wanted.void)
        return Raw(nll, mean_nll, sums)

    def backward(self, inputs: Inputs, saved: Tensor, gradients: Gradients) -> Tensor:  # noqa: ARG002  a softmax is quicker
        """Gradient ``(N, C, h, w)`` at the logits."""
        columns, gradient = _columns(inputs), torch.zeros_like(inputs.logits)
        for strip in _strips(inputs, columns):
            full = _at_full_size(strip, inputs, gradients)
            narrow = columns.fold(strip.mixing.t() @ full, gradient.shape[3])
            gradient[strip.image, :, strip.touched] += narrow
        return gradient
