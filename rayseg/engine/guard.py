"""Notices a loss that is NaN or infinite without waiting for the device at every step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rayseg.errors import NonFiniteLossError

__all__ = ["FiniteGuard"]


class FiniteGuard:
    """Remembers on the device the first step whose loss was not finite.

    ``check`` is called before anything is published (log line, evaluation, checkpoint), so nothing that comes after such a
    step is ever saved. Losses are values over the global batch, so every worker raises at the same point.
    """

    def __init__(self) -> None:
        self._first: Tensor | None = None
        self._parts: dict[str, Tensor] = {}

    def observe(self, step: int, parts: Mapping[str, Tensor]) -> None:
        """Look at the loss of one step, without a transfer to the host."""
        bad = ~torch.isfinite(parts["loss"])
        first = torch.full_like(bad, -1, dtype=torch.int64) if self._first is None else self._first
        newly = bad & (first < 0)
        self._first = torch.where(newly, torch.full_like(first, step), first)
        self._parts = {
            name: torch.where(newly | (first < 0), value.detach().double(), self._parts.get(name, value.detach().double()))
            for name, value in parts.items()
        }

    def check(self, last_good: str | None) -> None:
        """Raise if a loss was not finite.

        Args:
            last_good: where the last good checkpoint is, for the message.

        Raises:
            NonFiniteLossError: names the step, the terms and the checkpoint to go back to.
        """
        if self._first is None or int(self._first) < 0:
            return
        terms = ", ".join(f"{name} = {float(value):g}" for name, value in self._parts.items())
        back = f"the last good checkpoint is {last_good}" if last_good else "no checkpoint was written before it"
        raise NonFiniteLossError(
            f"step {int(self._first)}: the loss is not finite ({terms}); {back}. "
            "Lower optim.lr, set train.clip_norm, lengthen schedule.warmup, or use precision fp32"
        )
