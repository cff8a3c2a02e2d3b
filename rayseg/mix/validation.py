"""The loss over a whole split: sums now, collectives at the end."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from rayseg.collective import all_max, all_sum, rank, world_size
from rayseg.losses.region import RegionLoss
from rayseg.mix.heads import Head, Term
from rayseg.mix.pixels import shared_pixels
from rayseg.mix.sums import Finish, Sums, contribute, ratio

__all__ = ["ValidationLoss", "batch_dependence"]


class ValidationLoss:
    """Accumulates the terms of one head over batches, without a collective per batch, so uneven shares cannot hang.

    Every pixel counts: samplers are for training. A pixelwise term is a ratio of sums over the split, a region loss a function
    of the class sums over the split. ``scope: rank`` has no meaning here, where no worker's batch is special: such a term is
    taken over the split too if it is one of these, and image by image if it may be a scalar, as their mean. So the value does
    not depend on the size of batches or on the number of workers.

    Args:
        head: whose terms are taken.
        device: of the workers' sums; None: that of the CPU.

    Example:
        >>> from rayseg.losses import cross_entropy
        >>> from rayseg.mix import Term
        >>> loss = ValidationLoss(Head({"ce": Term(cross_entropy)}))
        >>> loss.add(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long))
        >>> round(loss.result()["loss/ce"], 4)
        0.6931
    """

    def __init__(self, head: Head, device: torch.device | None = None) -> None:
        self._head = head
        self._device = device
        self._totals: list[Tensor] = []
        self._finishes: dict[str, Finish] = {}

    def add(self, logits: Tensor, masks: Tensor, images: Tensor | None = None) -> None:
        """Add one batch: logits ``(N, C, h, w)``, masks ``(N, H, W)``, and images ``(N, 3, H, W)`` for losses that ask."""
        sums = Sums()
        pixels = shared_pixels(self._head, logits, masks, images, alone=True)
        for name, term in self._head.terms.items():
            if term.scope == "global" or term.returns_map or isinstance(term.loss, RegionLoss):
                self._finishes[name] = contribute(replace(term, scope="global"), self._head, pixels, sums, None)
            else:
                values_of = [self._of_image(term, number, logits, masks, images) for number in range(len(masks))]
                self._finishes[name] = _mean(sums.add(torch.stack(values_of).sum(0)))
        values = [local.detach().double() for local in sums.local]
        self._totals = [total + value for total, value in zip(self._totals, values, strict=True)] if self._totals else values

    def _of_image(self, term: Term, number: int, logits: Tensor, masks: Tensor, images: Tensor | None) -> Tensor:
        """``(value, 1)`` of a term on one image of the batch."""
        one, sums = slice(number, number + 1), Sums()
        pixels = shared_pixels(self._head, logits[one], masks[one], None if images is None else images[one], alone=True)
        contribute(term, self._head, pixels, sums, None)
        return sums.local[0]

    def result(self) -> dict[str, float]:
        """``loss`` and ``loss/<term>`` over the split on all workers, 0 where it is empty; collectives."""
        terms = self._head.terms
        values = dict(zip(terms, self._values().tolist(), strict=True))
        total = sum(term.weight * values[name] for name, term in terms.items())
        return {"loss": float(total), **{f"loss/{name}": value for name, value in values.items()}}

    def _values(self) -> Tensor:
        """Of each term. A worker without images does not know the sums; it adds zeros and is told the values."""
        sizes = [total.numel() for total in self._totals]
        speaker = world_size() - rank() if sizes else 0
        size, first = (int(largest) for largest in all_max(torch.tensor([sum(sizes), speaker], device=self._device)))
        local = [total.reshape(-1) for total in self._totals] or [torch.zeros(size, dtype=torch.float64, device=self._device)]
        pieces = torch.split(all_sum(torch.cat(local)), sizes or [size])
        values = torch.zeros(len(self._head.terms), dtype=torch.float64, device=self._device)
        if sizes and speaker == first:
            totals = [piece.view(total.shape) for piece, total in zip(pieces, self._totals, strict=True)]
            values = torch.stack([self._finishes[name](totals).double() for name in self._head.terms])
        return all_sum(values)


def _mean(index: int) -> Finish:
    return lambda totals: ratio(totals[index][0], totals[index][1])


def batch_dependence(
    head: Head, logits: Tensor, masks: Tensor, images: Tensor | None = None, *, rel_tol: float = 1e-9
) -> str | None:
    """What is wrong where the terms of images together are not made of the sums of each; None where they are.

    Args:
        head: whose terms are taken; ``scope: rank`` declares such a dependence, and nothing is said.
        logits: ``(N, C, h, w)``, of some images.
        masks: ``(N, H, W)``.
        images: ``(N, 3, H, W)``, for losses that ask.
        rel_tol: relative difference that is rounding.

    Example:
        >>> shifted = Term(lambda logits, target, *, nll: nll - nll.mean())
        >>> message = batch_dependence(
        ...     Head({"own": shifted}), torch.eye(3).view(3, 3, 1, 1), torch.tensor([[[0]], [[0]], [[1]]])
        ... )
        >>> message is not None and message.partition(";")[2]
        ' return a map or sums in which a pixel does not depend on other images, or say scope: rank'
    """
    together, apart = ValidationLoss(head), ValidationLoss(head)
    together.add(logits, masks, images)
    for number in range(len(masks)):
        one = slice(number, number + 1)
        apart.add(logits[one], masks[one], None if images is None else images[one])
    ours, theirs = together.result()["loss"], apart.result()["loss"]
    if math.isclose(ours, theirs, rel_tol=rel_tol, abs_tol=rel_tol) or not math.isfinite(ours + theirs):
        return None
    return (
        f"{len(masks)} images give {ours:.6g} together and {theirs:.6g} one by one, so the number of workers would matter; "
        "return a map or sums in which a pixel does not depend on other images, or say scope: rank"
    )
