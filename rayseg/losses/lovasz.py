r"""The Lovász losses: convex extensions of the Jaccard index, with weights that depend on the order of all errors.

Source: Berman et al. 2018, "The Lovász-Softmax loss". Sorted by falling error e, a pixel's weight is what the Jaccard loss
gains when it joins the pixels before it; the loss is the sum of e times weight. The weight of a pixel is a formula of counts,
with G pixels of the class, so that no place in a sorted list is needed:

    of the class          1 / (G + #{others: error > e})
    of another class      (G - #{of the class: error >= e}) / ((G + #{others: error > e}) (G + #{others: error >= e}))

Among equal errors the pixels of the class come first and others share alike, so neither the order of pixels nor the number of
workers decides about the gradient.

Over a global batch every worker needs all errors: for each class that counts, one gather of a number per pixel and one sort,
on every worker. ``per_image`` and ``scope: rank`` gather nothing; the former is exact as well.

Letters: N images, C classes, H x W pixels, R rows in which errors are ranked, P pixels of a row here, Q on all workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.collective import all_gather, all_max, is_main, rank, world_size
from rayseg.errors import ConfigError, Problem, ShapeError
from rayseg.losses.overlap import DivideBy, class_mean
from rayseg.losses.region import probabilities, require

__all__ = ["Extent", "Lovasz", "LovaszHinge", "jaccard_weights"]

#: Over which pixels errors are ranked: the global batch, this worker's, or each image alone.
Extent = Literal["global", "rank", "image"]
_VOID = -1


def _counts(member: Tensor, is_last: Tensor) -> tuple[Tensor, Tensor]:
    """How many members ``(R, Q)`` of a row have an error above that of each pixel, and how many at least that.

    Args:
        member: in the order of falling errors.
        is_last: whether the next error is smaller.
    """
    until = member.cumsum(-1, dtype=torch.int32)
    above = until.where(is_last, 0).cummax(-1).values.roll(1, -1)
    above[..., :1] = 0
    most = torch.iinfo(torch.int32).max
    at_least = until.where(is_last, most).flip(-1).cummin(-1).values.flip(-1)
    return above, at_least


def jaccard_weights(errors: Tensor, labels: Tensor, label: int) -> Tensor:
    """The slope of the Lovász extension of the Jaccard loss at each pixel, see the formula at the top; no gradient.

    Args:
        errors: ``(R, Q)``, 0 or more, of all pixels among which errors are ranked.
        labels: ``(R, Q)`` int64, -1 where there is none: then the weight is 0.
        label: the class.

    Returns:
        ``(R, Q)``.

    Example:
        >>> jaccard_weights(torch.tensor([[0.9, 0.5, 0.5, 0.1]]), torch.tensor([[0, 1, 1, 0]]), 1)
        tensor([[0.3333, 0.3333, 0.3333, 0.0000]])
    """
    known = labels != _VOID
    falling, order = errors.detach().masked_fill(~known, -1).sort(-1, descending=True)
    known, inside = known.gather(-1, order), (labels == label).gather(-1, order)
    is_last = torch.ones_like(known)
    is_last[..., :-1] = falling[..., 1:] != falling[..., :-1]
    size = inside.sum(-1, keepdim=True)
    (harder, as_hard), (_, own) = _counts(known & ~inside, is_last), _counts(inside, is_last)
    before, after = (size + harder).clamp(min=1).to(falling), (size + as_hard).clamp(min=1).to(falling)
    # Without a pixel of the class the loss is the largest error.
    of_others = torch.where(size > 0, (size - own).to(falling) / before, (harder == 0).to(falling)) / after
    weights = torch.where(inside, 1 / before, of_others).masked_fill(~known, 0)
    return torch.empty_like(weights).scatter_(-1, order, weights)


def _gathered(values: Tensor, longest: int, fill: float) -> Tensor:
    """``(1, P)`` of all workers as ``(1, Q)``; shorter shares are filled up."""
    return all_gather(F.pad(values.detach(), (0, longest - values.shape[-1]), value=fill)).reshape(1, -1)


@dataclass(frozen=True)
class _Ranked:
    """Pixels in rows, and those of all workers."""

    shape: tuple[int, ...]
    labels: Tensor
    pool_labels: Tensor
    longest: int | None

    @classmethod
    def of(cls, target: Tensor, ignore_index: int, extent: Extent) -> _Ranked:
        rows = (len(target), target.shape[1:].numel()) if extent == "image" else (1, target.numel())
        labels = target.masked_fill(target == ignore_index, _VOID).reshape(rows)
        if extent != "global":
            return cls(rows, labels, labels, None)
        longest = labels.shape[-1]
        if world_size() > 1:
            longest = int(all_max(torch.tensor(longest, device=labels.device)))
        return cls(rows, labels, _gathered(labels, longest, _VOID), longest)

    def loss(self, errors: Tensor, label: int) -> Tensor:
        """This worker's part of the loss of one class, ``(R,)``, of errors ``(N, H, W)``."""
        own = errors.reshape(self.shape).masked_fill(self.labels == _VOID, 0)
        if self.longest is None:
            return (own * jaccard_weights(own, self.labels, label)).sum(-1)
        weights = jaccard_weights(_gathered(own, self.longest, 0), self.pool_labels, label)
        return (own * weights[:, rank() * self.longest :][:, : own.shape[1]]).sum(-1)

    def sizes(self, classes: Sequence[int]) -> Tensor:
        """Pixels of each class, ``(R, K)``."""
        return torch.stack([(self.pool_labels == label).sum(-1) for label in classes], dim=-1)


def _ratio_of(values: Tensor, extent: Extent) -> tuple[Tensor, Tensor]:
    """(numerator, denominator) of the rows' values ``(R,)``, to be summed over workers."""
    if extent == "image":
        return values.sum(), values.new_full((), float(len(values)))
    return values.sum(), values.new_full((), 1.0 if extent == "rank" or is_main() else 0.0)


@dataclass(frozen=True)
class Lovasz:
    """The Lovász-Softmax loss: the mean over classes of the Lovász extension of the Jaccard loss, with softmax errors.

    What it costs over the global batch is at the top of the module. When nothing is labelled the loss is 0. In validation it is
    taken for each image, because a whole split cannot be ranked.

    Args:
        classes: ``present`` leaves out classes that the labels do not hold, ``all`` counts them; or the classes that count.
        per_image: rank the errors of each image alone, and take the mean over images.
        divide_by: ``weights``: a class weight moves the mean and does not scale the loss; ``classes``: divided by the number of
            classes that count, as in MMSegmentation, so it does.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> logits = torch.zeros(1, 2, 1, 2)
        >>> numerator, denominator = Lovasz()(logits, torch.tensor([[[0, 1]]]), ignore_index=255)
        >>> numerator / denominator
        tensor(0.5000)
    """

    classes: Literal["present", "all"] | tuple[int, ...] = "present"
    per_image: bool = False
    divide_by: DivideBy = "weights"

    def __post_init__(self) -> None:
        chosen = self.classes
        known = (
            chosen in {"present", "all"}
            if isinstance(chosen, str)
            else 0 < len(chosen) == len(set(chosen)) and min(chosen) >= 0
        )
        divides = self.divide_by in {"weights", "classes"}
        wrong = {
            "classes": None if known else f"must be 'present', 'all' or a list of different classes, got {chosen!r}",
            "divide_by": None if divides else f"must be 'weights' or 'classes', got {self.divide_by!r}",
        }
        require("lovasz", wrong)

    def __call__(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        ignore_index: int,
        log_probs: Tensor | None = None,
        class_weight: Tensor | None = None,
        extent: Extent = "global",
    ) -> tuple[Tensor, Tensor]:
        """(numerator, denominator), to be summed over workers; a collective under ``extent="global"`` without ``per_image``.

        Args:
            logits: ``(N, C, H, W)``; one channel is a softmax over (0, z).
            target: ``(N, H, W)`` int64 labels.
            ignore_index: label that means: not labelled.
            log_probs: log-softmax, used instead of the logits.
            class_weight: ``(C,)``.
            extent: over which pixels errors are ranked.
        """
        probs = probabilities(logits, "softmax", log_probs)
        classes = self._classes(probs.shape[1])
        extent = "image" if self.per_image else extent
        ranked = _Ranked.of(target, ignore_index, extent)
        sizes = ranked.sizes(classes).to(probs)
        counted = (sizes > 0).any(0).tolist() if self.classes == "present" else [True] * len(classes)
        nothing = torch.zeros_like(sizes[:, 0]) + probs[:, :0].sum()  # with a gradient of 0
        losses = [
            ranked.loss(((target == label).to(probs) - probs[:, label]).abs(), label) if counts else nothing
            for label, counts in zip(classes, counted, strict=True)
        ]
        kind: Literal["present", "all"] = "present" if self.classes == "present" else "all"
        weight = None if class_weight is None else class_weight[list(classes)]
        return _ratio_of(class_mean(torch.stack(losses, dim=-1), sizes, kind, self.divide_by, weight), extent)

    def _classes(self, num_classes: int) -> Sequence[int]:
        if isinstance(self.classes, str):
            return range(num_classes)
        if max(self.classes) >= num_classes:
            message = f"got {list(self.classes)} for {num_classes} classes; give numbers from 0 to {num_classes - 1}"
            raise ConfigError([Problem("classes", message)])
        return self.classes


def _margin(logits: Tensor) -> Tensor:
    """The log-odds of class 1, ``(N, H, W)``."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if logits.shape[1] > 2:
        raise ShapeError(f"lovasz_hinge: logits have {logits.shape[1]} channels; it knows two classes, so one or two channels")
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]


@dataclass(frozen=True)
class LovaszHinge:
    """The Lovász hinge of two classes: errors are :math:`max(0, 1 - z s)`, z the log-odds of class 1, s the label's sign.

    It is taken for class 1. With class weights (two) it is the weighted mean of that of class 0 and that of class 1: ``[0, 1]``
    changes nothing. When nothing is labelled the loss is 0.

    Args:
        per_image: rank the errors of each image alone, and take the mean over images.

    Example:
        >>> numerator, denominator = LovaszHinge()(torch.zeros(1, 1, 1, 2), torch.tensor([[[0, 1]]]), ignore_index=255)
        >>> numerator / denominator
        tensor(1.)
    """

    per_image: bool = False

    def __call__(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        ignore_index: int,
        class_weight: Tensor | None = None,
        extent: Extent = "global",
    ) -> tuple[Tensor, Tensor]:
        """(numerator, denominator), to be summed over workers; a collective under ``extent="global"`` without ``per_image``.

        Args:
            logits: ``(N, 1, H, W)``, or ``(N, 2, H, W)`` whose difference is taken.
            target: ``(N, H, W)`` int64 labels, 0 or 1.
            ignore_index: label that means: not labelled.
            class_weight: ``(2,)``.
            extent: over which pixels errors are ranked.

        Raises:
            ShapeError: there are more than two channels.
        """
        margin = _margin(logits)
        extent = "image" if self.per_image else extent
        ranked = _Ranked.of(target, ignore_index, extent)
        errors = (1 - margin * torch.where(target == 1, 1.0, -1.0)).relu()
        classes = (1,) if class_weight is None else (0, 1)
        losses = torch.stack([ranked.loss(errors, label) for label in classes], dim=-1)
        return _ratio_of(class_mean(losses, ranked.sizes(classes).to(losses), "all", "weights", class_weight), extent)
