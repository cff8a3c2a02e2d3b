"""Rules that select parameters by name and kind, and what they set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, Protocol

from torch import nn

from rayseg.errors import ConfigError, Problem

__all__ = ["Entry", "Kind", "Rule", "RuleLike", "applied_rules", "check_rules", "trainable_entries"]

Kind = Literal["norm", "bias", "depthwise", "flat"]

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
    def settings(self) -> Mapping[str, Any]:
        """Other settings of the optimizer for these parameters, such as ``momentum``."""

    @property
    def final(self) -> bool:
        """Whether later rules leave the selected parameters alone."""


@dataclass(frozen=True)
class Rule:
    """Multipliers and settings for the parameters that a pattern and a kind select together.

    The kinds are those of mmcv's ``paramwise_cfg``.

    Args:
        match: regular expression, searched in the dotted name; None selects any name.
        kind: ``norm`` is weight and bias of batch, sync, instance, group and layer norm; ``bias`` a parameter called ``bias``
            anywhere else; ``depthwise`` weight and bias of a Conv2d with as many groups as input channels, more than one;
            ``flat`` every parameter with one dimension, those of norms and biases included.
        lr_mult: factor of the learning rate; None leaves it.
        decay_mult: factor of the weight decay; None leaves it.
        settings: other settings of the optimizer for these parameters, such as ``{"momentum": 0.8}``.
        final: later rules leave the selected parameters alone.

    Example:
        >>> Rule(match="head", lr_mult=10.0).decay_mult is None
        True
    """

    match: str | None = None
    kind: Kind | None = None
    lr_mult: float | None = None
    decay_mult: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    final: bool = False


class Entry(NamedTuple):
    """A parameter, its first dotted name, and the kinds that it is of."""

    name: str
    parameter: nn.Parameter
    kinds: frozenset[str]


def _kinds(module: nn.Module, leaf: str, parameter: nn.Parameter) -> frozenset[str]:
    """Kinds of the parameter ``leaf`` of a module."""
    norm = isinstance(module, _NORMS)
    named = {
        "norm": norm,
        "bias": leaf == "bias" and not norm,
        "depthwise": isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1,
        "flat": parameter.ndim == 1,
    }
    return frozenset(kind for kind, holds in named.items() if holds)


def trainable_entries(model: nn.Module) -> list[Entry]:
    """Every trainable parameter once, under its first name, in the model's order.

    Example:
        >>> [(entry.name, sorted(entry.kinds)) for entry in trainable_entries(nn.Linear(2, 3))]
        [('weight', []), ('bias', ['bias', 'flat'])]
    """
    found: dict[nn.Parameter, Entry] = {}
    for prefix, module in model.named_modules():
        for leaf, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in found:
                name = f"{prefix}.{leaf}" if prefix else leaf
                found[parameter] = Entry(name, parameter, _kinds(module, leaf, parameter))
    return list(found.values())


def _selects(rule: RuleLike, entry: Entry) -> bool:
    named = rule.match is None or re.search(rule.match, entry.name) is not None
    return named and (rule.kind is None or rule.kind in entry.kinds)


def applied_rules(rules: Mapping[str, RuleLike], entry: Entry) -> dict[str, RuleLike]:
    """The rules that a parameter obeys, in order.

    Example:
        >>> weight, bias = trainable_entries(nn.Linear(2, 3))
        >>> rules = {"all": Rule(match=".", lr_mult=2.0), "bias": Rule(kind="bias", decay_mult=0.0)}
        >>> list(applied_rules(rules, weight)), list(applied_rules(rules, bias))
        (['all'], ['all', 'bias'])
    """
    applied: dict[str, RuleLike] = {}
    for name, rule in rules.items():
        if _selects(rule, entry):
            applied[name] = rule
            if rule.final:
                break
    return applied


def check_rules(rules: Mapping[str, RuleLike], entries: Sequence[Entry]) -> None:
    """Every rule must select something.

    Raises:
        ConfigError: a rule selects no parameter, or its pattern is no regular expression; all such rules at once.

    Example:
        >>> check_rules({"norm": Rule(kind="norm", decay_mult=0.0)}, trainable_entries(nn.Linear(2, 3)))
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 1 problem in experiment config
          optim.groups.norm: kind 'norm' matched none of the 2 trainable parameters; first names: weight, bias
    """
    faults = {name: _fault(rule, entries) for name, rule in rules.items()}
    if problems := [Problem(f"optim.groups.{name}", fault) for name, fault in faults.items() if fault]:
        raise ConfigError(problems)


def _fault(rule: RuleLike, entries: Sequence[Entry]) -> str | None:
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


def _suggestion(pattern: str, names: Sequence[str]) -> str:
    words = dict.fromkeys(word for name in names for word in name.split("."))
    close = get_close_matches(pattern, words, n=1)
    return f". Did you mean {close[0]!r}?" if close else ""
