"""Loss scaling: small gradients of fp16 are lifted above zero, and a step whose gradients overflow is left out.

The loss is multiplied by a scale before the backward pass and the gradients are divided by it after (Micikevicius et al. 2018,
"Mixed Precision Training"); the scale moves as in ``torch.amp.GradScaler``. Unlike there, the factor by which DDP divides is
put back here and not multiplied into the loss: so what fp16 has to hold, and with it which step overflows, does not depend
on the number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from rayseg.collective import world_size
from rayseg.errors import NonFiniteLossError

__all__ = ["LossScaler"]

#: A scale of 65536 is halved sixteen times until it is 1; whatever overflows after that is not a matter of the scale.
_MAX_SKIPPED_IN_A_ROW = 30


class LossScaler:
    """A scale for the loss, and whether its gradients may be used.

    The gradients that it looks at are sums over all workers, so every worker decides alike.

    Args:
        scale: the first one.
        dynamic: whether it moves: down after an overflow, up after ``interval`` steps in a row without one.
        growth: factor upwards.
        backoff: factor downwards.
        interval: steps.

    Example:
        >>> scaler, weight = LossScaler(scale=1024.0), nn.Parameter(torch.ones(1))
        >>> scaler.scaled((2 * weight).sum()).backward()
        >>> scaler.unscale([weight]), weight.grad.item()
        (True, 2.0)
        >>> weight.grad.fill_(float("inf")).item(), scaler.unscale([weight]), scaler.scale, scaler.skipped
        (inf, False, 512.0, 1)
    """

    def __init__(
        self,
        *,
        scale: float = 65536.0,
        dynamic: bool = True,
        growth: float = 2.0,
        backoff: float = 0.5,
        interval: int = 2000,
    ) -> None:
        self.scale = scale
        self.dynamic = dynamic
        self.skipped = 0
        self._growth, self._backoff, self._interval = growth, backoff, interval
        self._good_in_a_row = 0
        self._skipped_in_a_row = 0

    def scaled(self, total: Tensor) -> Tensor:
        """The loss to take the gradient of."""
        return total * self.scale

    def unscale(self, parameters: Iterable[nn.Parameter]) -> bool:
        """Divide gradients in place; whether all are finite, so that the step may be taken. Reads one number from the device.

        Raises:
            NonFiniteLossError: too many steps in a row overflowed.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            return True
        finite = bool(torch.stack([torch.isfinite(gradient).all() for gradient in gradients]).all())
        if finite:
            torch._foreach_mul_(gradients, world_size() / self.scale)
        self._move(finite)
        return finite

    def _move(self, finite: bool) -> None:
        self._good_in_a_row = self._good_in_a_row + 1 if finite else 0
        self._skipped_in_a_row = 0 if finite else self._skipped_in_a_row + 1
        self.skipped += not finite
        if self._skipped_in_a_row >= _MAX_SKIPPED_IN_A_ROW:
            raise NonFiniteLossError(self._endless())
        if not self.dynamic:
            return
        if not finite:
            self.scale *= self._backoff
        elif self._good_in_a_row >= self._interval:
            self._good_in_a_row = 0
            if math.isfinite(self.scale * self._growth):
                self.scale *= self._growth

    def _endless(self) -> str:
        told = f"gradients overflowed in {self._skipped_in_a_row} steps in a row, though every loss was finite"
        if self.dynamic:
            return f"{told} and the loss scale came down to {self.scale:g}; lower optim.lr, or use train.precision bf16 or fp32"
        return f"{told}: the loss scale of {self.scale:g} is too large; lower train.loss_scale, or set it to dynamic"

    def state_dict(self) -> dict[str, Any]:
        """The scale and its counters."""
        return {
            "scale": self.scale,
            "skipped": self.skipped,
            "good_in_a_row": self._good_in_a_row,
            "skipped_in_a_row": self._skipped_in_a_row,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.scale, self.skipped = state["scale"], state["skipped"]
        self._good_in_a_row, self._skipped_in_a_row = state["good_in_a_row"], state["skipped_in_a_row"]
