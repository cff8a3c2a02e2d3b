"""The loss over a whole split: sums now, one collective at the end."""

from __future__ import annotations

import torch
from torch import Tensor

from rayseg.collective import all_sum
from rayseg.mix.heads import Head
from rayseg.mix.pixels import shared_pixels
from rayseg.mix.sums import Finish, Sums, contribute

__all__ = ["ValidationLoss"]

#: Height and width of an image that every loss can take.
_SMALL = (8, 8)


class ValidationLoss:
    """Accumulates the terms of one head over batches, without a collective per batch, so uneven shares cannot hang.

    Every pixel counts: samplers are for training. A pixelwise term is a ratio of sums over the split, a region loss a function
    of the class sums over the split.

    Args:
        head: whose terms are taken.
        num_classes: C.
        device: of the workers' sums; None: that of the CPU.
    """

    def __init__(self, head: Head, num_classes: int, device: torch.device | None = None) -> None:
        self._head = head
        self._device = device
        self._num_classes = num_classes
        self._totals: list[Tensor] = []
        self._finishes: dict[str, Finish] = {}

    def add(self, logits: Tensor, masks: Tensor) -> None:
        """Add one batch: logits ``(N, C, h, w)``, masks ``(N, H, W)``."""
        sums, self._finishes = self._sums(logits, masks)
        values = [local.detach().double() for local in sums.local]
        self._totals = [total + value for total, value in zip(self._totals, values, strict=True)] if self._totals else values

    def result(self) -> dict[str, float]:
        """``loss`` and ``loss/<term>`` over the split on all workers; a collective."""
        if not self._totals:
            self._add_nothing()
        flat = all_sum(torch.cat([total.reshape(-1) for total in self._totals]))
        pieces = torch.split(flat, [total.numel() for total in self._totals])
        totals = [piece.view(total.shape) for piece, total in zip(pieces, self._totals, strict=True)]
        values = {name: float(finish(totals)) for name, finish in self._finishes.items()}
        weighted = sum(term.weight * values[f"loss/{name}"] for name, term in self._head.terms.items())
        return {"loss": float(weighted), **values}

    def _add_nothing(self) -> None:
        """Zeros of the right shapes, for a worker without images: the sums of an image of void, thrown away."""
        void = torch.full((1, *_SMALL), self._head.ignore_index, device=self._device)
        sums, self._finishes = self._sums(torch.zeros(1, self._num_classes, *_SMALL, device=self._device), void)
        self._totals = [torch.zeros_like(values, dtype=torch.float64) for values in sums.local]

    def _sums(self, logits: Tensor, masks: Tensor) -> tuple[Sums, dict[str, Finish]]:
        sums = Sums()
        pixels = shared_pixels(self._head, logits, masks, step=-1)
        finishes = {f"loss/{name}": contribute(term, self._head, pixels, sums, None) for name, term in self._head.terms.items()}
        return sums, finishes
