"""Groups that a function of the model makes, to which rules are applied afterwards.

A constructor is ``(model, *, lr, weight_decay, **own) -> groups``: dicts with ``params`` and settings, ``name`` if it likes. It
says what each parameter begins with; rules multiply its ``lr`` and ``weight_decay`` and override its other settings.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import nn

from rayseg.errors import ConfigError, Problem
from rayseg.optim.layer_decay import layer_decay
from rayseg.optim.rules import Entry

__all__ = ["CONSTRUCTORS", "base_settings"]

#: Constructors by the name that a config uses: ``(model, *, lr, weight_decay, **own) -> groups``.
CONSTRUCTORS: Mapping[str, Callable[..., Sequence[Mapping[str, Any]]]] = MappingProxyType({"layer_decay": layer_decay})

_PATH = "optim.constructor"
#: Keys of a group that are no settings.
_LABELS = ("params", "param_names", "name")
_MOST_NAMES = 3

#: A parameter's name of its group, and its settings.
_Base = tuple[str, dict[str, Any]]


def base_settings(
    model: nn.Module,
    entries: Sequence[Entry],
    groups: Sequence[Mapping[str, Any]] | None,
    *,
    lr: float | None,
    weight_decay: float | None,
) -> dict[nn.Parameter, _Base]:
    """What each trainable parameter begins with: the name of its group (empty without a constructor) and its settings.

    Args:
        model: whose parameters they are; frozen ones may be in the groups and are left out.
        entries: its trainable parameters.
        groups: what a constructor returned; None: there is none.
        lr: of a group that says nothing.
        weight_decay: of a group that says nothing.

    Raises:
        ConfigError: a group is no dict with ``params``, a trainable parameter is in no group or in two, or a group has a
            parameter that the model has not.

    Example:
        >>> from rayseg.optim.rules import trainable_entries
        >>> model = nn.Linear(2, 3)
        >>> groups = [{"params": [model.weight], "lr": 0.2, "name": "weights"}, {"params": [model.bias]}]
        >>> list(base_settings(model, trainable_entries(model), groups, lr=0.1, weight_decay=0.0).values())
        [('weights', {'lr': 0.2, 'weight_decay': 0.0}), ('group_1', {'lr': 0.1, 'weight_decay': 0.0})]
    """
    common = {key: value for key, value in (("lr", lr), ("weight_decay", weight_decay)) if value is not None}
    if groups is None:
        return {entry.parameter: ("", common) for entry in entries}
    _check_form(groups)
    members = [(parameter, number) for number, group in enumerate(groups) for parameter in _members(group)]
    _check_cover(model, entries, [parameter for parameter, _ in members])
    made = [
        (str(group.get("name", f"group_{number}")), common | {key: _plain(group[key]) for key in group if key not in _LABELS})
        for number, group in enumerate(groups)
    ]
    return {parameter: made[number] for parameter, number in members}


def _plain(value: Any) -> Any:
    """A number of numpy as Python's, which a checkpoint gives back."""
    return value.item() if isinstance(value, np.generic) else value


def _members(group: Mapping[str, Any]) -> list[nn.Parameter]:
    params = group["params"]
    return [params] if isinstance(params, nn.Parameter) else list(params)


def _check_form(groups: Any) -> None:
    whole = isinstance(groups, Sequence) and all(isinstance(group, Mapping) and "params" in group for group in groups)
    if not whole:
        raise ConfigError([Problem(_PATH, f"returned {_shown(groups)}; expected a list of dicts with 'params' and settings")])
    for number, group in enumerate(groups):
        if isinstance(group["params"], Iterable) and not isinstance(group["params"], (nn.Parameter, Sequence)):
            message = f"'params' of group {number} is a {type(group['params']).__name__}; expected a list of parameters"
            raise ConfigError([Problem(_PATH, message)])
        for key in ("lr", "weight_decay"):
            value = _plain(group.get(key, 0.0))
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                message = f"{key!r} of group {number} is {value!r}; expected a number, 0 or more"
                raise ConfigError([Problem(_PATH, message)])


def _shown(groups: Any) -> str:
    if not isinstance(groups, Sequence):
        return type(groups).__name__
    return f"a list of {', '.join(sorted({type(group).__name__ for group in groups}))}"


def _check_cover(model: nn.Module, entries: Sequence[Entry], members: Sequence[nn.Parameter]) -> None:
    """Every trainable parameter once, and no other than the model's."""
    counts = Counter(members)
    known = set(model.parameters())
    faults = {
        "in no group": [entry.name for entry in entries if not counts[entry.parameter]],
        "in more than one group": [entry.name for entry in entries if counts[entry.parameter] > 1],
        "not of the model": [f"one of size {tuple(each.shape)}" for each in counts if each not in known],
    }
    problems = [Problem(_PATH, _told(names, where)) for where, names in faults.items() if names]
    if problems:
        raise ConfigError(problems)


def _told(names: Sequence[str], where: str) -> str:
    shown = ", ".join([*names[:_MOST_NAMES], *(["..."] if len(names) > _MOST_NAMES else [])])
    parameters = "1 parameter is" if len(names) == 1 else f"{len(names)} parameters are"
    return f"{parameters} {where}: {shown}; put every trainable parameter into exactly one group"
