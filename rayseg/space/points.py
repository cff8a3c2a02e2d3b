"""Points of a space: how one is drawn, and a random one. A point is a mapping from dotted config keys to values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from rayseg.errors import ConfigError, Problem
from rayseg.space.parts import Dimension, Draw, Space
from rayseg.space.rules import Rule, When, provides

__all__ = ["broken_rules", "describe", "draw_point", "drawn_at_random", "random_point"]

#: Points that are drawn for one that keeps the rules.
_TRIES = 1000


def draw_point(space: Space, draw: Draw) -> dict[str, Any]:
    """A point, whose values are drawn in an order in which every condition is known when it is asked for.

    Args:
        space: what is searched.
        draw: gives a value of a dimension, which has a name.

    Raises:
        ConfigError: conditions go round in a circle, or two keys draw the same value.

    Example:
        >>> from rayseg.space import uniform
        >>> draw_point({"optim.lr": uniform(0, 1)}, lambda name, dimension: dimension.ends[0])
        {'optim.lr': 0}
    """
    point: dict[str, Any] = {}
    for key in _order(space):
        part = space[key]
        if not isinstance(part, When) or part.holds(point):
            drawn = part.point(key, draw)
            if twice := sorted(point.keys() & drawn.keys()):
                told = f"{', '.join(twice)} is drawn already by another key of the space; leave it out of one of the two"
                raise ConfigError([Problem(key, told)], where="search space")
            point |= drawn
    return point


def broken_rules(space: Space, point: Mapping[str, Any]) -> list[str]:
    """Names of the rules that a point does not keep.

    Args:
        space: what is searched.
        point: of it.

    Raises:
        ConfigError: a rule cannot be asked.

    Example:
        >>> from rayseg.space import require, uniform
        >>> broken_rules({"a": uniform(0, 1), "a is small": require("a < 0.5")}, {"a": 0.7})
        ['a is small']
    """
    return [name for name, part in space.items() if isinstance(part, Rule) and not _kept(name, part, point)]


def random_point(space: Space, rng: np.random.Generator) -> dict[str, Any]:
    """A random point that keeps the rules.

    Args:
        space: what is searched.
        rng: all randomness.

    Raises:
        ConfigError: a thousand points in a row broke rules; says which, and how often.

    Example:
        >>> from rayseg.space import require, uniform
        >>> space = {"a": uniform(0, 1), "a is small": require("a < 0.5")}
        >>> random_point(space, np.random.default_rng(0))["a"] < 0.5
        True
    """
    return drawn_at_random(space, rng)[0]


def drawn_at_random(space: Space, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, tuple[Dimension, Any]]]:
    """As :func:`random_point`, with what was drawn for it: name -> dimension and value.

    Args:
        space: what is searched.
        rng: all randomness.

    Raises:
        ConfigError: a thousand points in a row broke rules.

    Example:
        >>> from rayseg.space import simplex
        >>> list(drawn_at_random({"*.weight": simplex(["a", "b"])}, np.random.default_rng(0))[1])
        ['a.weight']
    """
    broken: list[str] = []
    for _ in range(_TRIES):
        drawn: dict[str, tuple[Dimension, Any]] = {}
        point = draw_point(space, partial(_random, rng, drawn))
        found = broken_rules(space, point)
        if not found:
            return point, drawn
        broken += found
    problems = [
        Problem(name, f"{broken.count(name)} of {_TRIES} random points break this rule, and none keeps all; loosen it")
        for name in dict.fromkeys(broken)
    ]
    raise ConfigError(problems, where="search space")


def _random(rng: np.random.Generator, drawn: dict[str, Any], name: str, dimension: Dimension) -> Any:
    value = dimension.sample(rng)
    drawn[name] = dimension, value
    return value


def describe(space: Space) -> str:
    """The space as a person reads it, one line per key.

    Args:
        space: what is searched.

    Example:
        >>> from rayseg.space import choice, log_uniform
        >>> print(describe({"optim.lr": log_uniform(1e-3, 1e-1), "losses.dice.weight": choice([0, 1, 3])}))
        optim.lr            0.001 to 0.1, log
        losses.dice.weight  one of 0, 1, 3
    """
    width = max((len(key) for key in space), default=0)
    return "\n".join(f"{key:<{width}}  {part}" for key, part in space.items())


def _kept(name: str, rule: Rule, point: Mapping[str, Any]) -> bool:
    try:
        return bool(rule.test(point))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        told = f"{rule.text!r} raised {type(error).__name__}: {error}, at {dict(point)}"
        raise ConfigError([Problem(name, told)], where="search space") from error


def _order(space: Space) -> list[str]:
    """Keys, each after those that its conditions ask for."""
    ordered: list[str] = []
    waiting = list(space)
    while waiting:
        ready = [key for key in waiting if not any(provides(other, need) for need in _needs(space[key]) for other in waiting)]
        if not ready:
            told = "its conditions go round in a circle; take one out"
            raise ConfigError([Problem(key, told) for key in waiting], where="search space")
        ordered += ready
        waiting = [key for key in waiting if key not in ready]
    return [key for key in ordered if not isinstance(space[key], Rule)]


def _needs(part: Any) -> list[str]:
    return list(part.conditions) if isinstance(part, When) else []
