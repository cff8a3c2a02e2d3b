"""Exponential moving average of a model's weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from rayseg.engine.copying import copy_all

__all__ = ["Ema"]


class Ema:
    """A copy of the model whose floating-point parameters follow it slowly (Polyak and Juditsky 1992, exponential form).

    After step t, counted from ``start_step``: ``ema <- decay_t * ema + (1 - decay_t) * weights`` with
    ``decay_t = min(decay, (1 + t) / (warmup + t))`` (TensorFlow's), so that a young average is not the initialisation, and
    with ``gamma`` at most ``t / (gamma + t)`` (mmengine's ``MomentumAnnealingEMA``). Before ``start_step`` it is a copy.

    Args:
        model: what is averaged.
        decay: the largest; mmcv's ``1 - momentum``.
        warmup: 0 for none.
        gamma: None for none.
        every: the average moves after every such step (mmcv's ``interval``).
        start_step: the first step, from 0, after which it is more than a copy.
        average_buffers: floating-point buffers (running statistics) are averaged too, and not copied at every step.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> ema = Ema(model, decay=0.5, warmup=0.0)
        >>> _ = torch.nn.init.constant_(ema.module.weight, 0.0), torch.nn.init.constant_(model.weight, 1.0)
        >>> ema.update(model, step=5)
        >>> float(ema.module.weight.detach())
        0.5
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        decay: float,
        warmup: float = 10.0,
        gamma: float | None = None,
        every: int = 1,
        start_step: int = 0,
        average_buffers: bool = False,
    ) -> None:
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.decay, self.warmup, self.gamma = decay, warmup, gamma
        self.every, self.start_step, self.average_buffers = every, start_step, average_buffers

    def decay_at(self, step: int) -> float:
        """Weight of the old average after optimizer step ``step``; 1 where it does not move.

        Example:
            >>> ema = Ema(nn.Linear(1, 1), decay=0.9, start_step=4, every=2)
            >>> [round(ema.decay_at(step), 3) for step in (3, 4, 5, 6, 200)]
            [0.0, 0.1, 1.0, 0.25, 0.9]
        """
        since = step - self.start_step
        if since < 0:
            return 0.0
        if step % self.every != 0:
            return 1.0
        young = (1 + since) / (self.warmup + since) if self.warmup + since > 0 else 1.0
        annealed = 1.0 if self.gamma is None else since / (self.gamma + since)
        return min(self.decay, young, annealed)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards ``model`` after optimizer step ``step``."""
        share = 1 - self.decay_at(step)
        averages: list[Tensor] = list(self.module.parameters())
        weights: list[Tensor] = [parameter.detach() for parameter in model.parameters()]
        if share > 0:
            torch._foreach_lerp_(averages, weights, share)
        pairs = list(zip(self.module.buffers(), model.buffers(), strict=True))
        floating = [pair for pair in pairs if self.average_buffers and pair[0].is_floating_point()]
        if floating and share > 0:
            torch._foreach_lerp_([mine for mine, _ in floating], [theirs for _, theirs in floating], share)
        copy_all(pair for pair in pairs if not (self.average_buffers and pair[0].is_floating_point()))

    def state_dict(self) -> dict[str, Any]:
        """Weights of the average."""
        return self.module.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.module.load_state_dict(state)
