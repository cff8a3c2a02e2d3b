"""Losses that are functions of a few sums, which may run over an image, a batch or a cluster.

First the sums are taken (``region_sums``, or the loss's own ``sums``), then somebody may add them up over images and workers,
and then a loss is a formula of them. So the loss of the global batch is exact.

Letters: N images, C classes, H x W pixels, P = H * W.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from rayseg.errors import ConfigError, Problem, ShapeError
from rayseg.kernels import ClassSums, log_probabilities

__all__ = [
    "Activation",
    "RegionLoss",
    "RegionSums",
    "overlap_ratio",
    "probabilities",
    "region_sums",
    "require",
    "sums_of",
    "weight_of_classes",
]

Activation = Literal["softmax", "sigmoid"]


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
    """A loss that is a function of sums over pixels.

    It may bring its own: ``sums(logits, target, *, ignore_index) -> tuple`` of tensors ``(N, ...)``, one value or row per
    image, which the mix adds up over images and workers; ``log_probs`` and ``class_weight`` are passed if its signature has
    them. Without that method the sums are the ``region_sums`` of the softmax, which need no logits at full size (see
    ``rayseg.kernels.statistics``).
    """

    @property
    def per_image(self) -> bool:
        """Whether it is taken for each image and averaged, or once for the whole batch."""
        ...

    def from_sums(self, sums: Any, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., C)``, or of what its own ``sums`` gives; ``class_weight`` is ``(C,)``."""
        ...


def probabilities(logits: Tensor, activation: Activation, log_probs: Tensor | None = None) -> Tensor:
    """Probabilities of the classes, in float32 or float64.

    One channel z is a softmax over (0, z): two classes under ``softmax``, class 1 alone under ``sigmoid``.

    Args:
        logits: ``(N, C, H, W)``.
        activation: ``softmax`` over the classes, or ``sigmoid`` of each.
        log_probs: log-softmax, used instead of the logits when somebody has it already.

    Returns:
        ``(N, C, H, W)``; ``(N, 2, H, W)`` for the softmax of one channel.

    Example:
        >>> probabilities(torch.zeros(1, 4, 1, 1), "softmax").flatten()
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
        >>> probabilities(torch.zeros(1, 1, 1, 1), "softmax").shape, probabilities(torch.zeros(1, 1, 1, 1), "sigmoid").shape
        (torch.Size([1, 2, 1, 1]), torch.Size([1, 1, 1, 1]))
    """
    if activation == "softmax":
        return (log_probabilities(logits) if log_probs is None else log_probs).exp()
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()


def _sum_by_label(values: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Sums ``(N, C)`` of values ``(N, P)`` over the pixels of each label ``(N, P)``."""
    return values.new_zeros(len(values), num_classes).scatter_add(1, label, values)


def region_sums(probs: Tensor, target: Tensor, *, ignore_index: int) -> RegionSums:
    """The sums of each image and class over labelled pixels, differentiable in ``probs``; no one-hot tensor is made.

    Args:
        probs: ``(N, C, H, W)``, such as the softmax of the logits; one channel is the probability of class 1 of two.
        target: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled; it need not be a class.

    Returns:
        Sums ``(N, C)`` in float32, or float64 for float64; of one channel those of class 1.

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
    if probs.shape[1] == 1:
        both = region_sums(torch.cat([1 - probs, probs], dim=1), target, ignore_index=ignore_index)
        return RegionSums(*(values[:, 1:] for values in both))
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


def sums_of(
    activation: Activation,
    logits: Tensor,
    target: Tensor,
    ignore_index: int,
    log_probs: Tensor | None,
    class_sums: ClassSums | None,
) -> RegionSums:
    """The ``region_sums`` of logits ``(N, C, H, W)``, or the first four of ``class_sums``, those of the softmax, where given.

    Example:
        >>> sums_of("softmax", torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]]), 255, None, None).intersection
        tensor([[0.0000, 0.5000]])
    """
    if class_sums is not None and activation == "softmax":
        return RegionSums(*class_sums[:4])
    return region_sums(probabilities(logits, activation, log_probs), target, ignore_index=ignore_index)


def overlap_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Their quotient; 1, with gradient 0, where both are 0: nothing was there and nothing was found.

    Example:
        >>> overlap_ratio(torch.tensor([1.0, 0.0]), torch.tensor([4.0, 0.0]))
        tensor([0.2500, 1.0000])
    """
    empty = denominator == 0
    return numerator.masked_fill(empty, 1) / denominator.masked_fill(empty, 1)


def weight_of_classes(class_weight: Tensor | None, like: Tensor) -> Tensor:
    """One weight for each entry of sums ``(..., C)``, ones without class weights.

    Args:
        class_weight: ``(C,)``.
        like: sums that it shall weight.

    Raises:
        ConfigError: there is one class only, so that a weight would change nothing.

    Example:
        >>> weight_of_classes(torch.tensor([1.0, 3.0]), torch.zeros(1, 2))
        tensor([[1., 3.]])
    """
    if class_weight is None:
        return torch.ones_like(like)
    if like.shape[-1] == 1:
        message = "the sigmoid of one channel is one class, so a weight would change nothing; remove it, or use the softmax"
        raise ConfigError([Problem("class_weight", message)])
    return class_weight.to(like).expand_as(like)


def require(where: str, wrong: dict[str, str | None]) -> None:
    """Raise a ConfigError with every problem of a loss's arguments.

    Args:
        where: name of the loss.
        wrong: argument to what is wrong with it, or None.

    Raises:
        ConfigError: something is wrong.

    Example:
        >>> require("dice", {"power": None})
    """
    if problems := [Problem(path, message) for path, message in wrong.items() if message]:
        raise ConfigError(problems, where)
