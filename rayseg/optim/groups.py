"""Parameter groups from named rules.

Rules are applied in order: each that selects a parameter overrides what earlier ones said about the settings that it names, and
one that is ``final`` is the last for the parameters that it selects. So "ten times the rate in the head" and "no decay for
norms" can both hold. Parameters with equal settings are in one group, whatever led there: fewer groups are faster steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from rayseg.optim.constructors import base_settings
from rayseg.optim.rules import RuleLike, applied_rules, check_rules, trainable_entries

__all__ = ["parameter_groups"]

#: More names than this in the name of a group are left out.
_MOST_NAMES = 3


def parameter_groups(
    model: nn.Module,
    rules: Mapping[str, RuleLike],
    *,
    lr: float | None,
    weight_decay: float | None,
    base: Sequence[Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Groups for an optimizer, one per distinct settings.

    Only trainable parameters are in them, a shared one once, under its first name.

    Args:
        model: the parameters come from here, in its order.
        rules: named rules, in order.
        lr: base learning rate; None for an optimizer that has none.
        weight_decay: base weight decay; None for an optimizer that has none.
        base: groups of a constructor, whose settings the rules multiply and override; None: every parameter has ``lr`` and
            ``weight_decay``.

    Returns:
        Dicts with ``params``, ``param_names``, ``lr``, ``weight_decay``, ``initial_lr``, which schedules multiply, and what the
        rules set; ``rules``, the lists of rules that led there, and ``name``, made of those that decide something
        (``head+norms``, ``norms or biases``, or ``default``).

    Raises:
        ConfigError: a rule selects no trainable parameter, or its pattern is no regular expression; all such rules at once. Or
            a group of ``base`` is not what it must be.

    Example:
        >>> from rayseg.optim import Rule
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8))
        >>> rules = {"norms": Rule(kind="norm", decay_mult=0.0), "biases": Rule(kind="bias", decay_mult=0.0)}
        >>> groups = parameter_groups(model, rules, lr=0.1, weight_decay=0.01)
        >>> [(group["name"], group["param_names"], group["weight_decay"]) for group in groups]
        [('default', ['0.weight'], 0.01), ('biases or norms', ['0.bias', '1.weight', '1.bias'], 0.0)]
    """
    entries = trainable_entries(model)
    check_rules(rules, entries)
    bases = base_settings(model, entries, base, lr=lr, weight_decay=weight_decay)
    groups: dict[str, dict[str, Any]] = {}
    labels: dict[str, dict[str, None]] = {}
    paths: dict[str, dict[tuple[str, ...], None]] = {}
    for entry in entries:
        applied = applied_rules(rules, entry)
        name, settings = bases[entry.parameter]
        settings = _with_rules(settings, list(applied.values()))
        key = repr(sorted(settings.items()))
        group = groups.setdefault(key, {"params": [], "param_names": [], **settings})
        group["params"].append(entry.parameter)
        group["param_names"].append(entry.name)
        labels.setdefault(key, {})["+".join([*([name] if name else []), *_deciding(applied)]) or "default"] = None
        paths.setdefault(key, {})[tuple(applied)] = None
    names = _distinct([_joined(list(told)) for told in labels.values()])
    return [
        group | {"name": name, "rules": [list(path) for path in paths[key]]}
        for name, (key, group) in zip(names, groups.items(), strict=True)
    ]


def _deciding(rules: dict[str, RuleLike]) -> list[str]:
    """The rules of a parameter that have the last word on something."""
    told: set[str] = set()
    deciding: list[str] = []
    for name, rule in reversed(rules.items()):
        own = {*rule.settings, *(key for key in ("lr_mult", "decay_mult") if getattr(rule, key) is not None)}
        deciding += [name] if own - told else []
        told |= own
    return deciding[::-1]


def _with_rules(settings: Mapping[str, Any], rules: Sequence[RuleLike]) -> dict[str, Any]:
    """The settings of a parameter that obeys these rules."""
    found = dict(settings)
    if "lr" in found:
        found["lr"] = found["initial_lr"] = found["lr"] * _last([rule.lr_mult for rule in rules])
    if "weight_decay" in found:
        found["weight_decay"] *= _last([rule.decay_mult for rule in rules])
    for rule in rules:
        found |= rule.settings
    return found


def _last(named: Sequence[float | None]) -> float:
    """The last that is named; 1 when none is."""
    return next((value for value in reversed(named) if value is not None), 1.0)


def _joined(labels: Sequence[str]) -> str:
    return " or ".join([*labels[:_MOST_NAMES], *(["..."] if len(labels) > _MOST_NAMES else [])])


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of which the second with a name is called ``name_2``: rates are recorded by them."""
    found: list[str] = []
    for name in names:
        others = (f"{name}_{number}" for number in itertools.count(2))
        found.append(name if name not in found else next(each for each in others if each not in {*found, *names}))
    return found
