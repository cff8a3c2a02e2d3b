"""How hard each pixel is, and over whose pixels the samplers count.

Letters: N images, C classes, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from rayseg.collective import all_sum
from rayseg.errors import ConfigError, Problem
from rayseg.kernels import log_probabilities, zero_unless_

__all__ = ["By", "PixelLoss", "Scope", "check_thresh", "hardness", "negative_log_likelihood", "reducer"]

By = Literal["nll", "loss"]
Scope = Literal["global", "rank"]
#: ``(N, H, W)``, or a function that returns it: the mix offers a function, since only who asks for the loss should pay for it.
PixelLoss = Tensor | Callable[[], Tensor | None]


def _identity(values: Tensor) -> Tensor:
    return values


def reducer(scope: Scope) -> Callable[[Tensor], Tensor]:
    """Sums over all workers, or over this one alone.

    Example:
        >>> import torch
        >>> reducer("rank")(torch.tensor(3))
        tensor(3)
    """
    return all_sum if scope == "global" else _identity


def check_thresh(where: str, thresh: float | None) -> None:
    """Refuse a threshold that is no probability.

    Raises:
        ConfigError: it is not above 0, up to 1.
    """
    if thresh is not None and not 0 < thresh <= 1:
        raise ConfigError([Problem("thresh", f"must be a probability above 0, or null, got {thresh!r}")], where)


def negative_log_likelihood(logits: Tensor, target: Tensor, valid: Tensor, nll: Tensor | None) -> Tensor:
    """``(N, H, W)`` cross-entropy of each pixel, 0 where not ``valid``, without a gradient; of ``nll`` where given."""
    if nll is None:  # torch's nll_loss is refused on GPUs in deterministic mode; gather is not
        nll = -log_probabilities(logits).gather(1, target.where(valid, 0)[:, None])[:, 0]
    return zero_unless_(nll.detach().clamp(min=0), valid)


def hardness(by: By, nll: Tensor, pixel_loss: PixelLoss | None, target: Tensor, ignore_index: int, asked: Problem) -> Tensor:
    """What pixels are ranked by, ``(N, H, W)``, not negative, 0 where ignored.

    Args:
        by: ``nll`` or ``loss``.
        nll: from :func:`negative_log_likelihood`.
        pixel_loss: what each pixel adds to the loss; values below 0 count as 0.
        target: ``(N, H, W)`` labels.
        ignore_index: label that means: not labelled.
        asked: the argument that asks for ``loss`` and its value, for the error.

    Raises:
        ConfigError: ``by`` is ``loss``, and there is none.
    """
    if by == "nll":
        return nll
    values = pixel_loss() if callable(pixel_loss) else pixel_loss
    if values is None:
        remedy = "add a term with one value per pixel, or change this"
        message = f"{asked.message} ranks pixels by what they add to the loss, and no loss term tells that; {remedy}"
        raise ConfigError([Problem(asked.path, message)], "sampler")
    return values.detach().clamp(min=0).where(target != ignore_index, 0)
