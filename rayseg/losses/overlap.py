r"""Dice, Jaccard, Tversky: one minus the overlap of each class, and a mean over classes.

Ignored pixels are in none of the sums. When nothing is labelled the loss is 0. MMSegmentation's own definitions of Dice are in
``rayseg.losses.dice``.

Letters: N images, C classes; :math:`I = \sum pt`, :math:`FP = \sum p(1-t)`, :math:`FN = \sum (1-p)t`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rayseg.kernels import ClassSums
from rayseg.losses.region import (
    Activation,
    RegionSums,
    overlap_ratio,
    require,
    sums_of,
    weight_of_classes,
)

__all__ = ["Classes", "Dice", "DivideBy", "FocalTversky", "Jaccard", "Tversky", "class_mean"]

Classes = Literal["present", "all"]
DivideBy = Literal["weights", "classes"]


def class_mean(loss: Tensor, target: Tensor, classes: Classes, divide_by: DivideBy, class_weight: Tensor | None) -> Tensor:
    """Mean of losses ``(..., C)`` over classes, weighted; 0 when no class counts.

    Args:
        loss: of each class.
        target: ``(..., C)``, above 0 where the class is present.
        classes: which count.
        divide_by: the sum of the weights that count, or the number of classes that count.
        class_weight: ``(C,)``.

    Example:
        >>> loss, target = torch.tensor([0.2, 0.4, 0.9]), torch.tensor([5.0, 5.0, 0.0])
        >>> class_mean(loss, target, "present", "weights", torch.tensor([1.0, 3.0, 1.0]))
        tensor(0.3500)
    """
    counted = (target > 0 if classes == "present" else torch.ones_like(target)).to(target)
    weight = weight_of_classes(class_weight, target) * counted
    total = (weight if divide_by == "weights" else counted).sum(-1)
    return (loss * weight).sum(-1) / total.masked_fill(total == 0, 1)


def _negative(value: float) -> str | None:
    return None if value >= 0 else f"must not be negative, got {value!r}"


def _check(where: str, loss: Dice | Jaccard | Tversky | FocalTversky, **own: str | None) -> None:
    """Raise a ConfigError with every problem; ``own`` are a loss's own arguments with what is wrong, or None."""
    choices = {"classes": ("present", "all"), "activation": ("softmax", "sigmoid"), "divide_by": ("weights", "classes")}
    wrong = {
        name: None if getattr(loss, name) in known else f"must be {known[0]!r} or {known[1]!r}, got {getattr(loss, name)!r}"
        for name, known in choices.items()
    }
    require(where, {"smooth": _negative(loss.smooth), **wrong, **own})


def _sums(
    loss: Dice | Jaccard | Tversky | FocalTversky,
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int,
    log_probs: Tensor | None = None,
    class_sums: ClassSums | None = None,
) -> RegionSums:
    """Sums ``(N, C)`` of logits ``(N, C, H, W)`` and labels ``(N, H, W)``, or those that somebody has already: their method."""
    return sums_of(loss.activation, logits, target, ignore_index, log_probs, class_sums)


@dataclass(frozen=True)
class Dice:
    r"""Dice loss: one minus the weighted mean over classes of :math:`(2I + s) / (\sum p^e + \sum t + s)`.

    With ``power=2`` the form of Milletari et al. 2016 ("V-Net"), with ``power=1`` that of Drozdzal et al. 2016.

    Args:
        smooth: s, in pixels; it takes the noise out of tiny classes.
        power: e, 1 or 2.
        classes: ``present`` leaves out classes that the target does not hold, ``all`` counts them.
        per_image: take the loss for each image, and the mean over images; otherwise the sums run over the whole batch.
        activation: what makes probabilities of logits; ``sigmoid`` of one channel counts class 1 only.
        divide_by: ``weights``: a class weight moves the mean and does not scale the loss; ``classes``: divided by the number of
            classes, so it does.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> target = torch.tensor([[[0, 1]]])
        >>> perfect = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
        >>> from rayseg.losses import region_sums
        >>> Dice().from_sums(region_sums(perfect, target, ignore_index=255), None)
        tensor([0.])
    """

    smooth: float = 1.0
    power: int = 1
    classes: Classes = "present"
    per_image: bool = False
    activation: Activation = "softmax"
    divide_by: DivideBy = "weights"

    def __post_init__(self) -> None:
        _check("dice", self, power=None if self.power in {1, 2} else f"must be 1 or 2, got {self.power!r}")

    sums = _sums

    def from_sums(self, sums: RegionSums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``; ``class_weight`` is ``(C,)``."""
        predicted = sums.prediction if self.power == 1 else sums.prediction_squared
        overlap = overlap_ratio(2 * sums.intersection + self.smooth, predicted + sums.target + self.smooth)
        return class_mean(1 - overlap, sums.target, self.classes, self.divide_by, class_weight)


@dataclass(frozen=True)
class Jaccard:
    r"""Jaccard loss, the soft form of IoU: one minus the weighted mean of :math:`(I + s) / (\sum p + \sum t - I + s)`.

    Source: Rahman and Wang 2016, "Optimizing Intersection-Over-Union in Deep Neural Networks".

    Args:
        smooth: s, in pixels.
        classes: ``present`` leaves out classes that the target does not hold, ``all`` counts them.
        per_image: take the loss for each image, and the mean over images.
        activation: what makes probabilities of logits; see :class:`Dice`.
        divide_by: of the mean over classes; see :class:`Dice`.

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
    activation: Activation = "softmax"
    divide_by: DivideBy = "weights"

    def __post_init__(self) -> None:
        _check("jaccard", self)

    sums = _sums

    def from_sums(self, sums: RegionSums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``; ``class_weight`` is ``(C,)``."""
        union = sums.prediction + sums.target - sums.intersection
        overlap = overlap_ratio(sums.intersection + self.smooth, union + self.smooth)
        return class_mean(1 - overlap, sums.target, self.classes, self.divide_by, class_weight)


def _tversky_index(sums: RegionSums, alpha: float, beta: float, smooth: float) -> Tensor:
    hit = sums.intersection
    errors = alpha * (sums.prediction - hit) + beta * (sums.target - hit)
    return overlap_ratio(hit + smooth, hit + errors + smooth)


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
        activation: what makes probabilities of logits; see :class:`Dice`.
        divide_by: of the mean over classes; see :class:`Dice`.

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
    activation: Activation = "softmax"
    divide_by: DivideBy = "weights"

    def __post_init__(self) -> None:
        _check("tversky", self, alpha=_negative(self.alpha), beta=_negative(self.beta))

    sums = _sums

    def from_sums(self, sums: RegionSums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``; ``class_weight`` is ``(C,)``."""
        loss = 1 - _tversky_index(sums, self.alpha, self.beta, self.smooth)
        return class_mean(loss, sums.target, self.classes, self.divide_by, class_weight)


@dataclass(frozen=True)
class FocalTversky:
    r"""The Tversky loss of each class to the power :math:`1 / \gamma`: above 1, classes that overlap badly count for more.

    Source: Abraham and Khan 2018, "A Novel Focal Tversky Loss Function with Improved Attention U-Net", whose exponent is
    :math:`1 / \gamma` with :math:`\gamma` from 1 to 3 and 4/3 the best (code that writes ``gamma=0.75`` and takes it as the
    exponent means the same). Their :math:`\alpha` is the price of FN; here it is that of FP, as in :class:`Tversky`.

    Args:
        gamma: above 0; 1 is :class:`Tversky`.
        alpha: price of probability on the wrong pixels (FP).
        beta: price of probability missing on the right ones (FN).
        smooth: s, in pixels.
        classes: ``present`` leaves out classes that the target does not hold, ``all`` counts them.
        per_image: take the loss for each image, and the mean over images.
        activation: what makes probabilities of logits; see :class:`Dice`.
        divide_by: of the mean over classes; see :class:`Dice`.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> one = torch.ones(1)
        >>> FocalTversky(gamma=2.0, alpha=0.5, beta=0.5, smooth=0).from_sums(RegionSums(one, 2 * one, 2 * one, 2 * one), None)
        tensor(0.7071)
    """

    gamma: float = 4 / 3
    alpha: float = 0.3
    beta: float = 0.7
    smooth: float = 1.0
    classes: Classes = "present"
    per_image: bool = False
    activation: Activation = "softmax"
    divide_by: DivideBy = "weights"

    def __post_init__(self) -> None:
        gamma = None if self.gamma > 0 else f"must be above 0, got {self.gamma!r}"
        _check("focal_tversky", self, gamma=gamma, alpha=_negative(self.alpha), beta=_negative(self.beta))

    sums = _sums

    def from_sums(self, sums: RegionSums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``; ``class_weight`` is ``(C,)``."""
        loss = 1 - _tversky_index(sums, self.alpha, self.beta, self.smooth)
        nothing = loss <= 0  # where a power has no slope; NaN stays NaN
        powered = loss.masked_fill(nothing, 1.0) ** (1 / self.gamma) * ~nothing
        return class_mean(powered, sums.target, self.classes, self.divide_by, class_weight)
