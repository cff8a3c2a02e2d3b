"""Rules that turn label counts of the training set into one weight per class.

Every rule takes the same two counts, so that a config may name any of them, and one to three numbers of its own, so that a
search has few to try. A class that never occurs gets weight 0, and no part in any mean; no weight is ever infinite.

With ``normalize`` the weights are scaled so that the mean weight of a labelled training pixel is 1: then a loss that is not
divided by the sum of weights (``normalize: kept | valid | all`` in the mix) keeps its size, and the learning rate its meaning.
``clip`` comes last and bounds what is returned.

Letters: C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from rayseg.errors import ConfigError, Problem

__all__ = ["CLASS_WEIGHT_RULES", "effective_number", "enet", "inverse_frequency", "median_frequency"]


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """Quotient in float64; 0 where the whole is 0."""
    return part.to(torch.float64) / whole.to(torch.float64).clamp(min=1)


def _finish(weights: Tensor, counts_pixels: Tensor, *, normalize: bool, clip: float | None = None) -> Tensor:
    weights = weights.where(counts_pixels > 0, 0)
    if normalize:
        mean = (weights * _share(counts_pixels, counts_pixels.sum())).sum()
        weights = weights / mean.masked_fill(mean == 0, 1)
    return weights.clamp(max=clip).to(torch.float32) if clip is not None else weights.to(torch.float32)


def _require(where: str, name: str, ok: bool, expected: str, got: float) -> None:
    if not ok:
        raise ConfigError([Problem(name, f"must be {expected}, got {got!r}")], where)


def _require_tempered(where: str, power: float, clip: float | None) -> None:
    _require(where, "power", power >= 0, "0 or more (below, frequent classes would weigh more)", power)
    if clip is not None:
        _require(where, "clip", clip > 0, "above 0", clip)


def inverse_frequency(
    counts_pixels: Tensor,
    counts_image_pixels: Tensor,  # noqa: ARG001
    *,
    power: float = 1.0,
    clip: float | None = None,
    normalize: bool = True,
) -> Tensor:
    """One over the share of the class among labelled pixels, to a power.

    With the defaults this is scikit-learn's "balanced": ``total / (C * count)``, C the number of classes that occur.

    Args:
        counts_pixels: ``(C,)`` int64, labelled pixels of each class in the training set.
        counts_image_pixels: ``(C,)`` int64, labelled pixels of the images that hold the class; not needed here.
        power: 0 gives equal weights, 0.5 is a good first guess, 1 the full correction.
        clip: largest weight.
        normalize: scale to a mean weight of 1 per labelled pixel.

    Returns:
        ``(C,)`` float32.

    Raises:
        ConfigError: ``power`` or ``clip`` is out of range.

    Example:
        >>> inverse_frequency(torch.tensor([75, 25, 0]), torch.tensor([100, 100, 0]))
        tensor([0.6667, 2.0000, 0.0000])
    """
    _require_tempered("inverse_frequency", power, clip)
    weights = _share(counts_pixels.sum(), counts_pixels) ** power
    return _finish(weights, counts_pixels, normalize=normalize, clip=clip)


def median_frequency(
    counts_pixels: Tensor,
    counts_image_pixels: Tensor,
    *,
    power: float = 1.0,
    clip: float | None = None,
    normalize: bool = False,
) -> Tensor:
    """Median frequency over the frequency of the class, to a power; the class in the middle has weight 1.

    The frequency of a class is its share of the labelled pixels of the images that hold it (Eigen and Fergus 2015, "Predicting
    Depth, Surface Normals and Semantic Labels"; also SegNet). Between two middle classes the median is their mean.

    Args:
        counts_pixels: ``(C,)`` int64, labelled pixels of each class in the training set.
        counts_image_pixels: ``(C,)`` int64, labelled pixels of the images that hold the class.
        power: 0 gives equal weights, 0.5 is a good first guess, 1 the source's rule.
        clip: largest weight.
        normalize: scale to a mean weight of 1 per labelled pixel.

    Returns:
        ``(C,)`` float32.

    Raises:
        ConfigError: ``power`` or ``clip`` is out of range.

    Example:
        >>> median_frequency(torch.tensor([60, 30, 10]), torch.tensor([100, 100, 100]))
        tensor([0.5000, 1.0000, 3.0000])
    """
    _require_tempered("median_frequency", power, clip)
    frequency = _share(counts_pixels, counts_image_pixels)
    occurs = frequency[counts_pixels > 0]
    median = occurs.quantile(0.5) if len(occurs) else frequency.new_ones(())
    weights = (median / frequency.masked_fill(frequency == 0, 1)) ** power
    return _finish(weights, counts_pixels, normalize=normalize, clip=clip)


def effective_number(
    counts_pixels: Tensor,
    counts_image_pixels: Tensor,  # noqa: ARG001
    *,
    beta: float = 0.999999,
    clip: float | None = None,
    normalize: bool = False,
) -> Tensor:
    """One over the effective number of samples, ``(1 - beta) / (1 - beta^count)``.

    Source: Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples"; as there, the weights of the classes
    that occur add up to their number. The counts are of pixels, so ``beta`` must be near 1: more than ``1 / (1 - beta)`` pixels
    of a class make no difference any more. 0 gives equal weights, towards 1 they become one over the count.

    Args:
        counts_pixels: ``(C,)`` int64, labelled pixels of each class in the training set.
        counts_image_pixels: ``(C,)`` int64, labelled pixels of the images that hold the class; not needed here.
        beta: from 0 to below 1.
        clip: largest weight.
        normalize: scale to a mean weight of 1 per labelled pixel instead.

    Returns:
        ``(C,)`` float32.

    Raises:
        ConfigError: ``beta`` or ``clip`` is out of range.

    Example:
        >>> effective_number(torch.tensor([1, 2]), torch.tensor([3, 3]), beta=0.5)
        tensor([1.2000, 0.8000])
    """
    _require("effective_number", "beta", 0 <= beta < 1, "from 0 to below 1", beta)
    _require_tempered("effective_number", 0, clip)
    counts = counts_pixels.to(torch.float64)
    log_beta = torch.tensor(beta, dtype=torch.float64, device=counts.device).log()
    occurs = counts > 0
    weights = (-1 / torch.expm1(counts.where(occurs, 1) * log_beta)).where(occurs, 0)
    weights = weights * occurs.sum() / weights.sum().clamp(min=1)
    return _finish(weights, counts_pixels, normalize=normalize, clip=clip)


def enet(
    counts_pixels: Tensor,
    counts_image_pixels: Tensor,  # noqa: ARG001
    *,
    c: float = 1.02,
    normalize: bool = False,
) -> Tensor:
    """``1 / ln(c + share)``, bounded by ``1 / ln(c)`` (50 by default), which stands for a clip.

    Source: Paszke et al. 2016, "ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation".

    Args:
        counts_pixels: ``(C,)`` int64, labelled pixels of each class in the training set.
        counts_image_pixels: ``(C,)`` int64, labelled pixels of the images that hold the class; not needed here.
        c: above 1; the larger, the more equal the weights.
        normalize: scale to a mean weight of 1 per labelled pixel; the source's weights are well above 1.

    Returns:
        ``(C,)`` float32.

    Raises:
        ConfigError: ``c`` is not above 1.

    Example:
        >>> enet(torch.tensor([99, 1, 0]), torch.tensor([100, 100, 0]))
        tensor([ 1.4324, 33.8309,  0.0000])
    """
    _require("enet", "c", c > 1, "above 1", c)
    weights = 1 / torch.log(c + _share(counts_pixels, counts_pixels.sum()))
    return _finish(weights, counts_pixels, normalize=normalize)


#: Rules by the name that a config uses: ``(counts_pixels, counts_image_pixels, **own) -> (C,)``.
CLASS_WEIGHT_RULES: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {
        "effective_number": effective_number,
        "enet": enet,
        "inverse_frequency": inverse_frequency,
        "median_frequency": median_frequency,
    }
)
