"""Parameter groups from named rules.

Rules are applied in order: each that selects a parameter overrides the multipliers that it names, and one that is ``final`` is
the last for the parameters that it selects. So "ten times the rate in the head" and "no decay for norms" can both hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, Protocol

from torch import nn

from rayseg.errors import ConfigError, Problem

__all__ = ["Kind", "Rule", "RuleLike", "parameter_groups"]

Kind = Literal["norm", "bias", "depthwise"]

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)  # noqa: SLF001


class RuleLike(Protocol):
    """What a rule must have; the config's own rules do."""

    @property
    def match(self) -> str | None:
        """Regular expression, searched in the dotted name; None selects any name."""

    @property
    def kind(self) -> Kind | None:
        """Kind of parameter; None selects any kind."""

    @property
    def lr_mult(self) -> float | None:
        """Factor of the learning rate; None leaves it."""

    @property
    def decay_mult(self) -> float | None:
        """Factor of the weight decay; None leaves it."""

    @property
    def final(self) -> bool:
        """Whether later rules leave the selected parameters alone."""


@dataclass(frozen=True)
class Rule:
    """Multipliers for the parameters that a pattern and a kind select together.

    Args:
        match: regular expression, searched in the dotted name; None selects any name.
        kind: ``norm`` is weight and bias of batch, sync, instance, group and layer norm; ``bias`` a parameter called ``bias``
            anywhere else; ``depthwise`` weight and bias of a Conv2d with as many groups as input channels, more than one.
        lr_mult: factor of the learning rate; None leaves it.
        decay_mult: factor of the weight decay; None leaves it.
        final: later rules leave the selected parameters alone.

    Example:
        >>> Rule(match="head", lr_mult=10.0).decay_mult is None
        True
    """

    match: str | None = None
    kind: Kind | None = None
    lr_mult: float | None = None
    decay_mult: float | None = None
    final: bool = False


class _Entry(NamedTuple):
    name: str
    parameter: nn.Parameter
    kinds: frozenset[str]


def _kinds(module: nn.Module, leaf: str) -> frozenset[str]:
    """Kinds of the parameter ``leaf`` of a module."""
    if isinstance(module, _NORMS):
        return frozenset({"norm"})
    depthwise = isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
    named = {"bias": leaf == "bias", "depthwise": depthwise}
    return frozenset(kind for kind, holds in named.items() if holds)


def _trainable(model: nn.Module) -> Iterator[_Entry]:
    """Every trainable parameter once, under its first name."""
    seen: set[nn.Parameter] = set()
    for prefix, module in model.named_modules():
        for leaf, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                yield _Entry(f"{prefix}.{leaf}" if prefix else leaf, parameter, _kinds(module, leaf))


def _selects(rule: RuleLike, entry: _Entry) -> bool:
    named = rule.match is None or re.search(rule.match, entry.name) is not None
    return named and (rule.kind is None or rule.kind in entry.kinds)


def _suggestion(pattern: str, names: Sequence[str]) -> str:
    words = dict.fromkeys(word for name in names for word in name.split("."))
    close = get_close_matches(pattern, words, n=1)
    return f". Did you mean {close[0]!r}?" if close else ""


def _fault(rule: RuleLike, entries: Sequence[_Entry]) -> str | None:
    """What is wrong with a rule, if anything."""
    try:
        if any(_selects(rule, entry) for entry in entries):
            return None
    except re.error as error:
        return f"pattern {rule.match!r} is no regular expression: {error}; a literal dot is written \\."
    names = [entry.name for entry in entries]
    wanted = [f"pattern {rule.match!r}"] if rule.match is not None else []
    wanted += [f"kind {rule.kind!r}"] if rule.kind is not None else []
    shown = ", ".join([*names[:3], *(["..."] if len(names) > 3 else [])])
    hint = _suggestion(rule.match, names) if rule.match is not None else ""
    return f"{' with '.join(wanted)} matched none of the {len(names)} trainable parameters; first names: {shown}{hint}"


def _applied(rules: Mapping[str, RuleLike], entry: _Entry) -> dict[str, RuleLike]:
    """The rules that a parameter obeys, in order."""
    applied: dict[str, RuleLike] = {}
    for name, rule in rules.items():
        if _selects(rule, entry):
            applied[name] = rule
            if rule.final:
                break
    return applied


def _multiplier(named: Iterable[float | None]) -> float:
    """The last that is named; 1 when none is."""
    return next((value for value in reversed(list(named)) if value is not None), 1.0)


def _empty_group(rules: Mapping[str, RuleLike], *, lr: float, weight_decay: float) -> dict[str, Any]:
    """The settings of the parameters that obey these rules."""
    own_lr = lr * _multiplier(rule.lr_mult for rule in rules.values())
    decay = weight_decay * _multiplier(rule.decay_mult for rule in rules.values())
    settings = {"name": "+".join(rules) or "default", "lr": own_lr, "weight_decay": decay, "initial_lr": own_lr}
    return {"params": [], "param_names": [], **settings}


def parameter_groups(
    model: nn.Module, rules: Mapping[str, RuleLike], *, lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Groups for an optimizer, one per distinct set of rules.

    Only trainable parameters are in them, a shared one once, under its first name.

    Args:
        model: the parameters come from here, in its order.
        rules: named rules, in order.
        lr: base learning rate.
        weight_decay: base weight decay.

    Returns:
        Dicts with ``params``, ``param_names``, ``name`` (rule names joined by ``+``, or ``default``), ``lr``, ``weight_decay``
        and ``initial_lr``, which schedules multiply.

    Raises:
        ConfigError: a rule selects no trainable parameter, or its pattern is no regular expression; all such rules at once.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8))
        >>> groups = parameter_groups(model, {"norm": Rule(kind="norm", decay_mult=0.0)}, lr=0.1, weight_decay=0.01)
        >>> [(group["name"], group["param_names"], group["weight_decay"]) for group in groups]
        [('default', ['0.weight', '0.bias'], 0.01), ('norm', ['1.weight', '1.bias'], 0.0)]
    """
    entries = list(_trainable(model))
    faults = {name: _fault(rule, entries) for name, rule in rules.items()}
    if problems := [Problem(f"optim.groups.{name}", fault) for name, fault in faults.items() if fault]:
        raise ConfigError(problems)
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in entries:
        applied = _applied(rules, entry)
        group = groups.setdefault(tuple(applied), _empty_group(applied, lr=lr, weight_decay=weight_decay))
        group["params"].append(entry.parameter)
        group["param_names"].append(entry.name)
    return list(groups.values())
