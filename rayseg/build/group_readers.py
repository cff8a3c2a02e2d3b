"""Base values and multipliers, read back from an optimizer's parameter groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch.optim import Optimizer

from rayseg.config import GroupRule

__all__ = ["group_multiplier", "in_all_groups"]

#: A base value -> the key of it in a group, and the multiplier of a rule.
_KEYS = {"lr": ("initial_lr", "lr_mult"), "weight_decay": ("weight_decay", "decay_mult")}
_BASES = {multiplier: base for base, (_, multiplier) in _KEYS.items()}


def in_all_groups(optimizer: Optimizer, rules: Mapping[str, GroupRule], base: str) -> list[float]:
    """``lr`` or ``weight_decay`` of the optimizer, and that of each group with its multiplier taken off.

    Args:
        optimizer: whose groups are named by the rules that their parameters obey.
        rules: in order.
        base: ``lr`` or ``weight_decay``.

    Example:
        >>> import torch
        >>> from rayseg.optim import Rule, parameter_groups
        >>> model = torch.nn.Linear(2, 2)
        >>> rules = {"bias": GroupRule(kind="bias", lr_mult=2.0)}
        >>> sgd = torch.optim.SGD(parameter_groups(model, rules, lr=0.1, weight_decay=0.0), lr=0.1)
        >>> in_all_groups(sgd, rules, "lr")
        [0.1, 0.1, 0.1]
    """
    value, (key, multiplier) = optimizer.defaults[base], _KEYS[base]
    found = [value]
    for group in optimizer.param_groups:
        rule = _deciding(group, rules, multiplier)
        factor = 1.0 if rule is None else getattr(rules[rule], multiplier)
        found.append(value if value * factor == group[key] else group[key] / factor if factor else group[key])
    return found


def group_multiplier(optimizer: Optimizer, rules: Mapping[str, GroupRule], rule: str, multiplier: str) -> float | None:
    """What a rule made of the base value in the groups where it has the last word; None where there is no such group.

    Args:
        optimizer: whose groups are named by the rules that their parameters obey.
        rules: in order.
        rule: name of the rule.
        multiplier: ``lr_mult`` or ``decay_mult``.

    Example:
        >>> import torch
        >>> from rayseg.optim import parameter_groups
        >>> rules = {"bias": GroupRule(kind="bias", lr_mult=2.0)}
        >>> sgd = torch.optim.SGD(parameter_groups(torch.nn.Linear(2, 2), rules, lr=0.1, weight_decay=0.0), lr=0.1)
        >>> group_multiplier(sgd, rules, "bias", "lr_mult")
        2.0
    """
    base = optimizer.defaults[_BASES[multiplier]]
    ratios = set(_ratios(optimizer, rules, rule, multiplier)) if base else set()
    return ratios.pop() if len(ratios) == 1 else None


def _ratios(optimizer: Optimizer, rules: Mapping[str, GroupRule], rule: str, multiplier: str) -> Iterator[float]:
    base, key = optimizer.defaults[_BASES[multiplier]], _KEYS[_BASES[multiplier]][0]
    for group in optimizer.param_groups:
        if _deciding(group, rules, multiplier) == rule:
            yield float(f"{group[key] / base:.15g}")


def _deciding(group: Mapping[str, Any], rules: Mapping[str, GroupRule], multiplier: str) -> str | None:
    """The last of a group's rules that names the multiplier."""
    names = [] if group["name"] == "default" else group["name"].split("+")
    return next((name for name in reversed(names) if getattr(rules[name], multiplier) is not None), None)
