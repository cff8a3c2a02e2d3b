"""Base values, multipliers and settings, read back from an optimizer's parameter groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch.optim import Optimizer

from rayseg.config import GroupRule

__all__ = ["group_multiplier", "group_setting", "in_all_groups", "in_other_groups"]

#: A base value -> the key of it in a group, and the multiplier of a rule.
_KEYS = {"lr": ("initial_lr", "lr_mult"), "weight_decay": ("weight_decay", "decay_mult")}
_BASES = {multiplier: base for base, (_, multiplier) in _KEYS.items()}


def in_all_groups(
    optimizer: Optimizer, rules: Mapping[str, GroupRule], base: str, made: Sequence[Mapping[str, Any]] | None = None
) -> list[float]:
    """``lr`` or ``weight_decay`` of the optimizer, and that of each group with its multiplier taken off.

    Args:
        optimizer: whose groups tell the rules that their parameters obey.
        rules: in order.
        base: ``lr`` or ``weight_decay``.
        made: the same groups, made anew with the optimizer's base values, where a constructor gives them rates of their own: a
            group has the base value where it is as it was made.

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
    if made is not None:
        pairs = zip(optimizer.param_groups, made, strict=True)
        return [value, *(value if group[key] == wanted[key] else group[key] for group, wanted in pairs)]
    found = [value]
    for group in optimizer.param_groups:
        deciding = next(iter(_deciding(group, rules, multiplier)))
        factor = 1.0 if deciding is None else getattr(rules[deciding], multiplier)
        found.append(value if value * factor == group[key] else group[key] / factor if factor else group[key])
    return found


def group_multiplier(optimizer: Optimizer, rules: Mapping[str, GroupRule], rule: str, multiplier: str) -> float | None:
    """What a rule made of the base value in the groups where it has the last word; None where there is no such group.

    Args:
        optimizer: whose groups tell the rules that their parameters obey.
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


def group_setting(optimizer: Optimizer, rules: Mapping[str, GroupRule], rule: str, key: str) -> list[Any]:
    """A setting in the groups where a rule has the last word on it.

    Example:
        >>> import torch
        >>> from rayseg.optim import parameter_groups
        >>> rules = {"bias": GroupRule(kind="bias", settings={"momentum": 0.5})}
        >>> sgd = torch.optim.SGD(parameter_groups(torch.nn.Linear(2, 2), rules, lr=0.1, weight_decay=0.0), lr=0.1)
        >>> group_setting(sgd, rules, "bias", "momentum"), in_other_groups(sgd, rules, "momentum")
        ([0.5], [0])
    """
    return [group[key] for group in optimizer.param_groups if rule in _deciding_setting(group, rules, key)]


def in_other_groups(optimizer: Optimizer, rules: Mapping[str, GroupRule], key: str) -> list[Any]:
    """A setting in the groups of which no rule has said anything; see :func:`group_setting`."""
    return [group[key] for group in optimizer.param_groups if None in _deciding_setting(group, rules, key)]


def _ratios(optimizer: Optimizer, rules: Mapping[str, GroupRule], rule: str, multiplier: str) -> Iterator[float]:
    base, key = optimizer.defaults[_BASES[multiplier]], _KEYS[_BASES[multiplier]][0]
    for group in optimizer.param_groups:
        if rule in _deciding(group, rules, multiplier):
            yield float(f"{group[key] / base:.15g}")


def _deciding(group: Mapping[str, Any], rules: Mapping[str, GroupRule], multiplier: str) -> set[str | None]:
    """The last rule that names the multiplier, for each list of rules that led to the group; None: no rule does."""
    return {_last(name for name in names if getattr(rules[name], multiplier) is not None) for names in group["rules"]}


def _deciding_setting(group: Mapping[str, Any], rules: Mapping[str, GroupRule], key: str) -> set[str | None]:
    return {_last(name for name in names if key in rules[name].settings) for names in group["rules"]}


def _last(names: Iterable[str]) -> str | None:
    return next(reversed(list(names)), None)
