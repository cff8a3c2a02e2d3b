"""Parameters and statistics that stay as they are until a step: a function of the step, without state.

A frozen parameter has no gradient, so no optimizer, weight decay or average moves it. The optimizer holds it from the start:
its group does not change, and its moments begin at the release.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from torch import nn

from rayseg.errors import ConfigError, Problem

__all__ = ["Freeze", "Freezing", "unmatched"]


@dataclass(frozen=True)
class Freeze:
    """One rule.

    Args:
        match: regular expression, searched in the dotted names of the parameters.
        until_step: the first step that trains them again, counted from 0; None: never.
        statistics: batch norms all of whose parameters are frozen by such rules use their running statistics and keep them.

    Example:
        >>> Freeze("^backbone", until_step=100).statistics
        True
    """

    match: str
    until_step: int | None = None
    statistics: bool = True

    @property
    def end(self) -> float:
        """The first step that it does not freeze."""
        return math.inf if self.until_step is None else self.until_step


class Freezing:
    """What rules freeze at each step of a run.

    A parameter that several rules select is frozen while one of them holds. What the model itself holds fixed stays so.

    Args:
        model: the rules are matched with its names; nothing is changed yet.
        rules: by name.

    Raises:
        ConfigError: a pattern is no regular expression or selects nothing; every parameter would be frozen at the first step.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
        >>> freezing = Freezing(model, {"stem": Freeze("^[01]", until_step=10)})
        >>> freezing.frozen(9), freezing.frozen(10)
        (('0.weight', '0.bias', '1.weight', '1.bias'), ())
        >>> freezing.apply(model, 9)
        >>> [parameter.requires_grad for parameter in model.parameters()]
        [False, False, False, False, True, True]
    """

    def __init__(self, model: nn.Module, rules: Mapping[str, Freeze]) -> None:
        self.rules = dict(rules)
        trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        norms = {name: module for name, module in model.named_modules() if _has_statistics(module)}
        statistics = [f"{name}.running_mean".lstrip(".") for name in norms]
        found = {name: unmatched(rule.match, trainable + statistics) for name, rule in rules.items()}
        if problems := [Problem(f"freeze.{name}", message) for name, message in found.items() if message]:
            raise ConfigError(problems)
        self._parameters = {name: end for name in trainable if (end := _end(name, rules.values())) > 0}
        if trainable and len(self.frozen(0)) == len(trainable):
            message = f"every one of the {len(trainable)} trainable parameters is frozen at the first step; leave some out"
            raise ConfigError([Problem("freeze", message)])
        keeping = [rule for rule in rules.values() if rule.statistics]
        self._norms = {name: end for name, norm in norms.items() if (end := _norm_end(name, norm, keeping)) > 0}

    def frozen(self, step: int) -> tuple[str, ...]:
        """Names of the parameters that step ``step`` does not train."""
        return tuple(name for name, end in self._parameters.items() if step < end)

    def apply(self, model: nn.Module, step: int) -> None:
        """Freeze and release parameters for step ``step``; those that no rule selects are left alone."""
        for name, end in self._parameters.items():
            model.get_parameter(name).requires_grad_(step >= end)

    def hold_statistics(self, model: nn.Module, step: int) -> None:
        """After ``model.train()``: the norms whose statistics are frozen at step ``step`` use them, without any collective."""
        for name, end in self._norms.items():
            model.get_submodule(name).training = step >= end


def _has_statistics(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None  # noqa: SLF001


def _end(name: str, rules: Iterable[Freeze]) -> float:
    """The first step at which no rule holds a name; 0 where none selects it."""
    return max((rule.end for rule in rules if re.search(rule.match, name)), default=0)


def _norm_end(name: str, norm: nn.Module, rules: Sequence[Freeze]) -> float:
    """The first step at which one of its parameters learns; one without parameters goes by the name of its statistics."""
    own = [leaf for leaf, _ in norm.named_parameters(recurse=False)] or ["running_mean"]
    return min(_end(f"{name}.{leaf}".lstrip("."), rules) for leaf in own)


def unmatched(pattern: str, names: Sequence[str]) -> str | None:
    """What is wrong with a pattern that should be found in one of the names at least; None where nothing is.

    Example:
        >>> unmatched("decode", ["backbone.0.weight", "decode_head.weight"]) is None
        True
        >>> unmatched("bakbone", ["backbone.0.weight"])
        "pattern 'bakbone' is in none of the 1 names; first names: backbone.0.weight. Did you mean 'backbone'?"
    """
    try:
        if any(re.search(pattern, name) for name in names):
            return None
    except re.error as error:
        return f"pattern {pattern!r} is no regular expression: {error}; a literal dot is written \\."
    words = dict.fromkeys(word for name in names for word in name.split("."))
    close = get_close_matches(pattern, words, n=1)
    shown = ", ".join([*names[:3], *(["..."] if len(names) > 3 else [])])
    hint = f". Did you mean {close[0]!r}?" if close else ""
    return f"pattern {pattern!r} is in none of the {len(names)} names; first names: {shown}{hint}"
