"""Multipliers into an optimizer."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from rayseg.errors import ConfigError, Problem

__all__ = ["apply_schedule"]


def _initial_momentum(optimizer: Optimizer, group: dict[str, Any]) -> float:
    """Momentum, or the first beta, before any schedule; remembered in the group."""
    if "initial_momentum" not in group:
        value = group.get("momentum") or (group["betas"][0] if "betas" in group else 0.0)
        if not value:
            message = (
                f"{type(optimizer).__name__} has no momentum to schedule; set optim.momentum, or leave schedule.momentum out"
            )
            raise ConfigError([Problem("schedule.momentum", message)])
        group["initial_momentum"] = value
    initial: float = group["initial_momentum"]
    return initial


def apply_schedule(optimizer: Optimizer, lr_multiplier: float, momentum_multiplier: float | None = None) -> None:
    """Set every group's learning rate, and if asked its momentum, to a multiple of its initial value.

    Args:
        optimizer: its groups' ``initial_lr`` is used; where that is absent, the present rate becomes it. One without a rate
            keeps what it has.
        lr_multiplier: of the learning rate.
        momentum_multiplier: of ``momentum``, or of ``betas[0]``; None leaves it.

    Raises:
        ConfigError: a momentum is asked for and the optimizer has none.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> apply_schedule(optimizer, 0.5)
        >>> optimizer.param_groups[0]["lr"]
        0.05
    """
    for group in optimizer.param_groups:
        if "lr" in group:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * lr_multiplier
        if momentum_multiplier is None:
            continue
        momentum = _initial_momentum(optimizer, group) * momentum_multiplier
        group.update({"betas": (momentum, *group["betas"][1:])} if "betas" in group else {"momentum": momentum})
