"""Exponential moving average of a model's weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Ema"]


class Ema:
    """A copy of the model whose floating-point parameters follow it slowly; buffers are copied.

    After step t (counted from 0): ``ema <- decay_t * ema + (1 - decay_t) * weights`` with
    ``decay_t = min(decay, (1 + t) / (warmup + t))``, so that a young average is not the initialisation.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> ema = Ema(model, decay=0.5, warmup=0.0)
        >>> _ = torch.nn.init.constant_(ema.module.weight, 0.0), torch.nn.init.constant_(model.weight, 1.0)
        >>> ema.update(model, step=5)
        >>> float(ema.module.weight.detach())
        0.5
    """

    def __init__(self, model: nn.Module, *, decay: float, warmup: float = 10.0) -> None:
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay
        self.warmup = warmup

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards ``model`` after optimizer step ``step``."""
        decay = min(self.decay, (1 + step) / (self.warmup + step)) if self.warmup + step > 0 else self.decay
        averages: list[Tensor] = list(self.module.parameters())
        weights: list[Tensor] = [parameter.detach() for parameter in model.parameters()]
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for mine, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """Weights of the average."""
        return self.module.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.module.load_state_dict(state)
