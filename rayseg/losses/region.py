"""Losses of overlap: functions of a few sums per class, which may run over an image, a batch or a cluster.

First the sums are taken (``region_sums``), then somebody may add them up over images and workers, and then a loss is a formula
of them. So one pass over the pixels serves every region loss, and the loss of the global batch is exact.

Letters: N images, C classes, H x W pixels, P = H * W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from rayseg.errors import ConfigError, Problem, ShapeError

__all__ = ["Dice", "Jaccard", "RegionLoss", "RegionSums", "Tversky", "region_sums"]

Classes = Literal["present", "all"]


class RegionSums(NamedTuple):
    """Sums over labelled pixels of probability p and indicator t of the true class; ``(N, C)`` each, ``(..., C)`` once summed.

    Args:
        intersection: sum of p * t.
        prediction: sum of p.
        prediction_squared: sum of p * p.
        target: sum of t, which is also the sum of t * t.
    """

    intersection: Tensor
    prediction: Tensor
    prediction_squared: Tensor
    target: Tensor


@runtime_checkable
class RegionLoss(Protocol):
    """A loss that is a function of class sums."""

    @property
    def per_image(self) -> bool:
        """Whether it is taken for each image and averaged, or once for the whole batch."""
        ...

    def from_sums(self, sums: RegionSums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``; ``class_weight`` is ``(C,)``."""
        ...


def _sum_by_label(values: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Sums ``(N, C)`` of values ``(N, P)`` over the pixels of each label ``(N, P)``."""
    return values.new_zeros(len(values), num_classes).scatter_add(1, label, values)


def region_sums(probs: Tensor, target: Tensor, *, ignore_index: int) -> RegionSums:
    """The sums of each image and class over labelled pixels, differentiable in ``probs``; no one-hot tensor is made.

    Args:
        probs: ``(N, C, H, W)``, such as the softmax of the logits.
        target: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled; it need not be a class.

    Returns:
        Sums ``(N, C)`` in float32, or float64 for float64.

    Raises:
        ShapeError: the two do not have the same images and pixels.

    Example:
        >>> sums = region_sums(torch.tensor([[[[0.9, 0.2]], [[0.1, 0.8]]]]), torch.tensor([[[0, 255]]]), ignore_index=255)
        >>> sums.intersection, sums.prediction, sums.target
        (tensor([[0.9000, 0.0000]]), tensor([[0.9000, 0.1000]]), tensor([[1., 0.]]))
    """
    if probs.shape[0] != target.shape[0] or probs.shape[2:] != target.shape[1:]:
        raise ShapeError(
            f"region_sums: probs are {tuple(probs.shape)} and target is {tuple(target.shape)}; expected (N, C, H, W) and "
            "(N, H, W): resize the logits to the mask first"
        )
    dtype = torch.promote_types(probs.dtype, torch.float32)
    p = probs.to(dtype).flatten(2)
    valid = (target != ignore_index).flatten(1)
    label = target.flatten(1).where(valid, 0)
    # Pixels are added one by one here, so float64; it is one value per pixel, not C.
    p_true = p.gather(1, label.unsqueeze(1)).squeeze(1).to(torch.float64) * valid
    mask = valid.to(dtype)
    return RegionSums(
        intersection=_sum_by_label(p_true, label, p.shape[1]).to(dtype),
        prediction=torch.einsum("ncp,np->nc", p, mask),
        prediction_squared=torch.einsum("ncp,np->nc", p.square(), mask),
        target=_sum_by_label(valid.to(torch.int64), label, p.shape[1]).to(dtype),
    )


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Their quotient; 1, with gradient 0, where both are 0: nothing was there and nothing was found."""
    empty = denominator == 0
    return numerator.masked_fill(empty, 1) / denominator.masked_fill(empty, 1)


def _mean_loss(overlap: Tensor, target: Tensor, classes: Classes, class_weight: Tensor | None) -> Tensor:
    """Weighted mean over classes of ``1 - overlap``; all ``(..., C)``; 0 when no class has weight."""
    weight = torch.ones_like(target) if class_weight is None else class_weight.to(target).expand_as(target)
    if classes == "present":
        weight = weight * (target > 0)
    total = weight.sum(-1)
    return ((1 - overlap) * weight).sum(-1) / total.masked_fill(total == 0, 1)


def _check(where: str, smooth: float, classes: str, **own: str | None) -> None:
    """Raise a ConfigError with every problem; ``own`` are a loss's own arguments with what is wrong, or None."""
    wrong = {
        "smooth": None if smooth >= 0 else f"must not be negative, got {smooth!r}",
        "classes": None if classes in {"present", "all"} else f"must be 'present' or 'all', got {classes!r}",
        **own,
    }
    if problems := [Problem(path, message) for path, message in wrong.items() if message]:
        raise ConfigError(problems, where)


@dataclass(frozen=True)
class Dice:
    r"""Dice loss: one minus the weighted mean over classes of :math:`(2I + s) / (\sum p^e + \sum t + s)`.

    With ``power=2`` the form of Milletari et al. 2016 ("V-Net"), with ``power=1`` that of Drozdzal et al. 2016. Ignored pixels
    are in none of the sums. A class weight moves the mean; it does not scale the loss. When nothing is labelled the loss is 0.

    Args:
        smooth: s, in pixels; it takes the noise out of tiny classes.
        power: e, 1 or 2.
        classes: ``present`` leaves out classes that the target does not hold, ``all`` counts them.
        per_image: take the loss for each image, and the mean over images; otherwise the sums run over the whole batch.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> target = torch.tensor([[[0, 1]]])
        >>> perfect = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
        >>> Dice().from_sums(region_sums(perfect, target, ignore_index=255), None)
        tensor([0.])
    """

    smooth: float = 1.0
    power: int = 1
    classes: Classes = "present"
    per_image: bool = False

    def __post_init__(self) -> None:
        power = None if self.power in {1, 2} else f"must be 1 or 2, got {self.power!r}"
        _check("dice", self.smooth, self.classes, power=power)

    def from_sums(self, sums: RegionSums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``; ``class_weight`` is ``(C,)``."""
        predicted = sums.prediction if self.power == 1 else sums.prediction_squared
        overlap = _ratio(2 * sums.intersection + self.smooth, predicted + sums.target + self.smooth)
        return _mean_loss(overlap, sums.target, self.classes, class_weight)


@dataclass(frozen=True)
class Jaccard:
    r"""Jaccard loss, the soft form of IoU: one minus the weighted mean of :math:`(I + s) / (\sum p + \sum t - I + s)`.

    Source: Rahman and Wang 2016, "Optimizing Intersection-Over-Union in Deep Neural Networks".

    Args:
        smooth: s, in pixels.
        classes: ``present`` leaves out classes that the target does not hold, ``all`` counts them.
        per_image: take the loss for each image, and the mean over images.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> one = torch.ones(1)
        >>> Jaccard(smooth=0).from_sums(RegionSums(one, 2 * one, 2 * one, 2 * one), None)
        tensor(0.6667)
    """

    smooth: float = 1.0
    classes: Classes = "present"
    per_image: bool = False

    def __post_init__(self) -> None:
        _check("jaccard", self.smooth, self.classes)

    def from_sums(self, sums: RegionSums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``; ``class_weight`` is ``(C,)``."""
        union = sums.prediction + sums.target - sums.intersection
        overlap = _ratio(sums.intersection + self.smooth, union + self.smooth)
        return _mean_loss(overlap, sums.target, self.classes, class_weight)


@dataclass(frozen=True)
class Tversky:
    r"""Tversky loss: Dice with a price of its own for each kind of error, :math:`(I + s) / (I + \alpha FP + \beta FN + s)`.

    Source: Salehi et al. 2017, "Tversky loss function for image segmentation". With both at 0.5 it is Dice with ``2 * smooth``.

    Args:
        alpha: price of probability on the wrong pixels (FP, the sum of p * (1 - t)).
        beta: price of probability missing on the right ones (FN, the sum of (1 - p) * t).
        smooth: s, in pixels.
        classes: ``present`` leaves out classes that the target does not hold, ``all`` counts them.
        per_image: take the loss for each image, and the mean over images.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> one = torch.ones(1)
        >>> Tversky(alpha=0.5, beta=0.5, smooth=0).from_sums(RegionSums(one, 2 * one, 2 * one, 2 * one), None)
        tensor(0.5000)
    """

    alpha: float = 0.3
    beta: float = 0.7
    smooth: float = 1.0
    classes: Classes = "present"
    per_image: bool = False

    def __post_init__(self) -> None:
        prices = {"alpha": self.alpha, "beta": self.beta}
        wrong = {name: None if price >= 0 else f"must not be negative, got {price!r}" for name, price in prices.items()}
        _check("tversky", self.smooth, self.classes, **wrong)

    def from_sums(self, sums: RegionSums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``; ``class_weight`` is ``(C,)``."""
        hit = sums.intersection
        errors = self.alpha * (sums.prediction - hit) + self.beta * (sums.target - hit)
        overlap = _ratio(hit + self.smooth, hit + errors + self.smooth)
        return _mean_loss(overlap, sums.target, self.classes, class_weight)
