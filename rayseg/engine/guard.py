"""Notices a loss that is NaN or infinite without waiting for the device at every step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rayseg.errors import NonFiniteLossError

__all__ = ["FiniteGuard", "check_weights"]

_REMEDY = "Lower optim.lr, set train.clip_norm, lengthen schedule.warmup, or use precision fp32"


class FiniteGuard:
    """Remembers on the device the first step whose loss, or gradient norm where it is measured, was not finite.

    ``check`` is called before anything is published (log line, evaluation, checkpoint), so nothing that comes after such a
    step is ever saved. Losses are values over the global batch, so every worker raises at the same point.
    """

    def __init__(self) -> None:
        self._first: Tensor | None = None
        self._parts: dict[str, Tensor] = {}

    def observe(self, step: int, parts: Mapping[str, Tensor]) -> None:
        """Look at the loss of one step, without a transfer to the host."""
        values = torch.stack([value.detach().double() for value in parts.values()])
        first = torch.full_like(values[0], -1, dtype=torch.int64) if self._first is None else self._first
        none_before = first < 0
        newly = none_before & ~torch.isfinite(values).all()
        self._first = torch.where(newly, torch.full_like(first, step), first)
        self._parts = {
            name: torch.where(none_before, value, self._parts.get(name, value))
            for name, value in zip(parts, values.unbind(), strict=True)
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
        raise NonFiniteLossError(
            f"step {int(self._first)}: the loss is not finite ({terms}); {_way_back(last_good)}. {_REMEDY}"
        )


def check_weights(model: nn.Module, step: int, last_good: str | None) -> None:
    """Raise if a weight is not finite: a finite loss may have a gradient that is not, which only the next loss would show.

    Args:
        model: about to be saved.
        step: optimizer steps done.
        last_good: where the last good checkpoint is, for the message.

    Raises:
        NonFiniteLossError: names the first such parameter.
    """
    parameters = dict(model.named_parameters())
    finite = torch.stack([torch.isfinite(parameter.detach()).all() for parameter in parameters.values()]).tolist()
    if all(finite):
        return
    first = next(name for name, good in zip(parameters, finite, strict=True) if not good)
    raise NonFiniteLossError(
        f"after {step} steps {first} is not finite, though every loss was: a gradient overflowed; "
        f"{_way_back(last_good)}. {_REMEDY}"
    )


def _way_back(last_good: str | None) -> str:
    return f"the last good checkpoint is {last_good}" if last_good else "no checkpoint was written before it"
