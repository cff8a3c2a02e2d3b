"""Dice as other systems define it: MMSegmentation 0.x and 1.x, and the flat form of many notebooks.

They differ in what happens at pixels without a label, in what is added up before dividing, and in what class weights do. Each
is a function of sums of each image, so it is exact over the global batch. :class:`rayseg.losses.Dice` is the one to prefer.

Letters: N images, C classes, H x W pixels, p probability, t indicator of the true class, v whether a pixel is labelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from rayseg.kernels import ClassSums
from rayseg.losses.region import RegionSums, overlap_ratio, probabilities, region_sums, require, weight_of_classes

__all__ = ["DiceFlat", "DiceMmseg0x", "DiceMmseg1x", "DiceSums"]


class DiceSums(NamedTuple):
    """Sums of each class; ``(N, C)`` each, ``(..., C)`` once summed.

    Args:
        intersection: sum of p * t.
        prediction: sum of p to some power.
        target: sum of t.
    """

    intersection: Tensor
    prediction: Tensor
    target: Tensor


def _without(sums: DiceSums, ignore_index: int) -> DiceSums:
    """Zeros for the class that is ignored, if the ignored label is a class; a single one is class 1."""
    num_classes = sums.target.shape[1]
    counted = torch.arange(num_classes, device=sums.target.device) + int(num_classes == 1) != ignore_index
    return DiceSums(*(values * counted for values in sums))


def _everywhere(probs: Tensor) -> Tensor:
    """Sums ``(N, C)`` over all pixels, those without a label too."""
    return probs.sum((2, 3))


def _predicted(sums: ClassSums, power: float) -> Tensor:
    """Sums ``(N, C)`` of p to the power 1 or 2 over all pixels, those without a label too."""
    if power == 1:
        return sums.prediction + sums.void_prediction
    return sums.prediction_squared + sums.void_prediction_squared


@dataclass(frozen=True)
class DiceMmseg0x:
    r"""Dice of MMSegmentation 0.x: :math:`\frac{1}{C} \sum_c w_c (1 - \frac{2\sum ptv + s}{\sum (p^e + t^e) + s})`.

    The loss is the mean over images. Only the numerator leaves out ignored pixels: in the denominator such a pixel counts as
    the class next to its label, the last one for 255. A class that is the ignored label is left out, and the sum is still
    divided by C. Class weights scale the loss.

    Args:
        smooth: s, in pixels.
        exponent: e, above 0.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> loss, target = DiceMmseg0x(), torch.tensor([[[0, 1]]])
        >>> sums = loss.sums(torch.tensor([[[[50.0, 0.0]], [[0.0, 50.0]]]]), target, ignore_index=255)
        >>> loss.from_sums(sums, None)
        tensor([0.])
    """

    smooth: float = 1.0
    exponent: float = 2.0
    per_image: ClassVar[bool] = True

    def __post_init__(self) -> None:
        smooth = None if self.smooth >= 0 else f"must not be negative, got {self.smooth!r}"
        exponent = None if self.exponent > 0 else f"must be above 0, got {self.exponent!r}"
        require("dice_mmseg_0x", {"smooth": smooth, "exponent": exponent})

    def sums(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        ignore_index: int,
        log_probs: Tensor | None = None,
        class_sums: ClassSums | None = None,
    ) -> DiceSums:
        """Sums ``(N, C)`` of logits ``(N, C, H, W)`` and labels ``(N, H, W)``, or those that somebody has already."""
        if class_sums is None:
            probs = probabilities(logits, "softmax", log_probs)
            labelled, predicted = region_sums(probs, target, ignore_index=ignore_index), _everywhere(probs**self.exponent)
        else:
            labelled, predicted = RegionSums(*class_sums[:4]), _predicted(class_sums, self.exponent)
        stand_in = min(max(ignore_index, 0), predicted.shape[1] - 1)
        void = (target == ignore_index).sum((1, 2)).to(labelled.target)
        counts = labelled.target.index_add(1, torch.full((1,), stand_in, device=void.device), void[:, None])
        return _without(DiceSums(labelled.intersection, predicted, counts), ignore_index)

    def from_sums(self, sums: DiceSums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``; ``class_weight`` is ``(C,)``."""
        overlap = overlap_ratio(2 * sums.intersection + self.smooth, sums.prediction + sums.target + self.smooth)
        return ((1 - overlap) * weight_of_classes(class_weight, overlap)).mean(-1)


@dataclass(frozen=True)
class DiceMmseg1x:
    r"""Dice of MMSegmentation 1.x: all classes of an image are added up before dividing.

    The loss is the mean over images of :math:`1 - 2\sum pt / (\sum p^2 + \sum t^2 + 2\epsilon)` (Milletari et al. 2016,
    "V-Net"), or with ``naive`` of :math:`1 - (2\sum pt + \epsilon) / (\sum p + \sum t + \epsilon)`. An ignored pixel has no
    label, and its probabilities stay in the denominator. A class that is the ignored label is left out. 1.x has no class
    weights; here a weight multiplies the sums of its class before they are added. 1.x compares one channel with label 0, which
    inverts the loss; here it is class 1.

    Args:
        activation: of the logits; ``none``: they are probabilities already.
        naive: the second form.
        eps: :math:`\epsilon`, in pixels.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> loss, target = DiceMmseg1x("softmax", eps=0.0), torch.tensor([[[0, 1]]])
        >>> sums = loss.sums(torch.tensor([[[[50.0, 0.0]], [[0.0, 50.0]]]]), target, ignore_index=255)
        >>> loss.from_sums(sums, None)
        tensor([0.])
    """

    activation: Literal["sigmoid", "softmax", "none"] = "sigmoid"
    naive: bool = False
    eps: float = 1e-3
    per_image: ClassVar[bool] = True

    def __post_init__(self) -> None:
        known = self.activation in {"sigmoid", "softmax", "none"}
        activation = None if known else f"must be 'sigmoid', 'softmax' or 'none', got {self.activation!r}"
        eps = None if self.eps >= 0 else f"must not be negative, got {self.eps!r}"
        require("dice_mmseg_1x", {"activation": activation, "eps": eps})

    def sums(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        ignore_index: int,
        log_probs: Tensor | None = None,
        class_sums: ClassSums | None = None,
    ) -> DiceSums:
        """Sums ``(N, C)`` of logits ``(N, C, H, W)`` and labels ``(N, H, W)``, or those that somebody has already."""
        if class_sums is not None and self.activation == "softmax":
            predicted = _predicted(class_sums, 1 if self.naive else 2)
            return _without(DiceSums(class_sums.intersection, predicted, class_sums.target), ignore_index)
        as_they_are = logits.to(torch.promote_types(logits.dtype, torch.float32))
        probs = as_they_are if self.activation == "none" else probabilities(logits, self.activation, log_probs)
        labelled = region_sums(probs, target, ignore_index=ignore_index)
        predicted = _everywhere(probs if self.naive else probs.square())
        return _without(DiceSums(labelled.intersection, predicted, labelled.target), ignore_index)

    def from_sums(self, sums: DiceSums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``; ``class_weight`` is ``(C,)``."""
        weight = weight_of_classes(class_weight, sums.target)
        overlap, predicted, truth = ((values * weight).sum(-1) for values in sums)
        if self.naive:
            return 1 - overlap_ratio(2 * overlap + self.eps, predicted + truth + self.eps)
        return 1 - overlap_ratio(2 * overlap, predicted + truth + 2 * self.eps)


@dataclass(frozen=True)
class DiceFlat:
    r"""Dice of everything at once, :math:`1 - (2\sum pt + s) / (\sum p + \sum t + s)`, with the sigmoid of each channel.

    The form of many notebooks, meant for one channel. Ignored pixels are in none of the sums. A class weight multiplies the
    sums of its class before they are added.

    Args:
        smooth: s, in pixels.
        per_image: take the loss for each image, and the mean over images; otherwise the sums run over the whole batch.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> loss, target = DiceFlat(), torch.tensor([[[0, 1]]])
        >>> loss.from_sums(loss.sums(torch.tensor([[[[-50.0, 50.0]]]]), target, ignore_index=255), None)
        tensor([0.])
    """

    smooth: float = 1.0
    per_image: bool = False

    def __post_init__(self) -> None:
        require("dice_flat", {"smooth": None if self.smooth >= 0 else f"must not be negative, got {self.smooth!r}"})

    def sums(self, logits: Tensor, target: Tensor, *, ignore_index: int) -> RegionSums:
        """Sums ``(N, C)`` of logits ``(N, C, H, W)`` and labels ``(N, H, W)``."""
        return region_sums(probabilities(logits, "sigmoid"), target, ignore_index=ignore_index)

    def from_sums(self, sums: RegionSums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``; ``class_weight`` is ``(C,)``."""
        weight = weight_of_classes(class_weight, sums.target)
        overlap, predicted, truth = ((x * weight).sum(-1) for x in (sums.intersection, sums.prediction, sums.target))
        return 1 - overlap_ratio(2 * overlap + self.smooth, predicted + truth + self.smooth)
