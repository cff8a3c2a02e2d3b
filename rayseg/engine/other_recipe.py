"""An optimizer that goes on from a checkpoint of another recipe: its moments come from there, its rates from the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer

from rayseg.errors import CheckpointError

__all__ = ["load_moments"]

#: Settings of a parameter group that belong to the recipe. Others may be counters of the optimizer and stay the checkpoint's.
_OF_RECIPE = ("lr", "initial_lr", "weight_decay", "momentum", "initial_momentum", "betas", "name", "rules", "param_names")


def load_moments(optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    """Load the state of every parameter by its name; rates, decay and momentum stay those that the optimizer was made with.

    ``Optimizer.load_state_dict`` alone would bring back the checkpoint's rates, and would go by the order of groups, which
    are made of equal settings: another multiplier may be another order.

    Args:
        optimizer: as it was made; its groups have ``param_names``.
        saved: ``state_dict()`` of an optimizer over the same parameters.

    Raises:
        CheckpointError: the parameters are others.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.ones(1))
        >>> donor, other = (torch.optim.SGD([("w", weight)], lr=lr, momentum=0.9) for lr in (0.1, 0.5))
        >>> weight.grad = torch.ones(1)
        >>> donor.step()
        >>> load_moments(other, donor.state_dict())
        >>> other.param_groups[0]["lr"], other.state[weight]["momentum_buffer"].item()
        (0.5, 1.0)
    """
    own = optimizer.state_dict()
    before, after = _numbers(saved), _numbers(own)
    if before.keys() != after.keys():
        others = ", ".join(sorted(before.keys() ^ after.keys())[:3])
        raise CheckpointError(
            f"the checkpoint's optimizer has other parameters ({others}): leave model and freeze as they were"
        )
    settings = {number: group for group in saved["param_groups"] for number in group["params"]}
    groups = [
        {**{key: value for key, value in settings[before[group["param_names"][0]]].items() if key not in _OF_RECIPE}, **kept}
        for group in own["param_groups"]
        for kept in [{key: value for key, value in group.items() if key in ("params", *_OF_RECIPE)}]
    ]
    state = {after[name]: saved["state"][number] for name, number in before.items() if number in saved["state"]}
    optimizer.load_state_dict({**own, "state": state, "param_groups": groups})


def _numbers(state: Mapping[str, Any]) -> dict[str, int]:
    """Name of every parameter -> its number in a state."""
    pairs = (zip(group["param_names"], group["params"], strict=True) for group in state["param_groups"])
    return {name: number for each in pairs for name, number in each}
