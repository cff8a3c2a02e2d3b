"""Cross-entropy of an edge map, in which the few edges weigh as much as the many other pixels.

Letters: N images, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels import log_probabilities
from rayseg.losses.region import require

__all__ = ["Boundary", "BoundarySums"]


class BoundarySums(NamedTuple):
    """Sums over the pixels labelled 0 and over those labelled 1; ``(N, 2)`` each, ``(..., 2)`` once summed.

    Args:
        loss: sum of the cross-entropy.
        labelled: number of pixels.
        pixels: number of all pixels, also those without a label, twice.
    """

    loss: Tensor
    labelled: Tensor
    pixels: Tensor


@dataclass(frozen=True)
class Boundary:
    r"""Cross-entropy of a head with two classes, 1 for edges, weighted so that both classes weigh alike.

    With :math:`S_1, n_1` the summed loss and the number of edge pixels, :math:`S_0, n_0` those of other pixels, it is
    :math:`(n_0 S_1 + n_1 S_0) / ((n_0 + n_1) D)`. Source: PIDNet (Xu et al. 2023) in MMSegmentation 1.x, after HED (Xie and Tu
    2015). Without an edge it is 0. A class weight multiplies the sum of its class.

    Args:
        divide_by: D: the ``valid`` pixels, or ``all``, also those without a label, as in MMSegmentation.
        per_image: take the loss for each image, and the mean over images; otherwise the sums run over the whole batch.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> loss, target = Boundary(), torch.tensor([[[0, 0, 0, 1]]])
        >>> sums = loss.sums(torch.zeros(1, 1, 1, 4), target, ignore_index=255)
        >>> loss.from_sums(sums, None)  # (3 ln 2 + 1 * 3 ln 2) / (4 * 4)
        tensor([0.2599])
    """

    divide_by: Literal["valid", "all"] = "valid"
    per_image: bool = False

    def __post_init__(self) -> None:
        known = self.divide_by in {"valid", "all"}
        require("boundary", {"divide_by": None if known else f"must be 'valid' or 'all', got {self.divide_by!r}"})

    def sums(self, logits: Tensor, target: Tensor, *, ignore_index: int, log_probs: Tensor | None = None) -> BoundarySums:
        """Sums ``(N, 2)`` of logits ``(N, 1, H, W)`` or ``(N, 2, H, W)`` and labels ``(N, H, W)``.

        Raises:
            ShapeError: there are more than two classes.
        """
        log_probs = log_probabilities(logits) if log_probs is None else log_probs
        if log_probs.shape[1] != 2:
            raise ShapeError(f"boundary: logits have {log_probs.shape[1]} channels; an edge map has two classes, so one or two")
        valid = target != ignore_index
        label = torch.stack([valid & (target == 0), valid & (target == 1)], dim=1)
        pixels = log_probs.new_full((len(target), 2), float(target.shape[1:].numel()))
        return BoundarySums(-(log_probs * label).sum((2, 3)), label.sum((2, 3)).to(log_probs), pixels)

    def from_sums(self, sums: BoundarySums, class_weight: Tensor | None) -> Tensor:
        """Loss ``(...)`` of sums ``(..., 2)``; ``class_weight`` is ``(2,)``."""
        loss = sums.loss if class_weight is None else sums.loss * class_weight.to(sums.loss)
        total = sums.labelled.sum(-1)
        balanced = (loss * sums.labelled.flip(-1)).sum(-1) / total.clamp(min=1)
        return balanced / (total if self.divide_by == "valid" else sums.pixels[..., 0]).clamp(min=1)
