"""Points of a space that are not left to chance: all of a grid, the corners, and how many there are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rayseg.errors import ConfigError, Problem
from rayseg.space.dimensions import Choice, IntUniform
from rayseg.space.parts import Dimension, FlatSpace, Part, Space
from rayseg.space.points import broken_rules, draw_point, random_point
from rayseg.space.rules import Rule, When, provides

__all__ = ["all_drawn", "axes", "conditional_axes", "corners", "flat", "grid_points", "keys_of", "size"]

#: Points that are counted.
_MAX_COUNTED = 100_000


def grid_points(space: Space) -> list[dict[str, Any]]:
    """Every combination of choices and whole numbers that keeps the rules.

    Args:
        space: what is searched.

    Raises:
        ConfigError: something in it has infinitely many values, or no combination keeps the rules.

    Example:
        >>> from rayseg.space import choice
        >>> grid_points({"a": choice([1, 2]), "b": choice(["x"])})
        [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'x'}]
    """
    open_ended = [key for key, part in space.items() if not _finite(part.part if isinstance(part, When) else part, key)]
    if open_ended:
        told = "a grid needs values, got {}; use choice([...]), grid or log_grid, or another searcher"
        raise ConfigError([Problem(key, told.format(space[key])) for key in open_ended], where="search space")
    points = [point for point, _ in all_drawn(space)]
    if not points:
        rules = [Problem(name, "no point of the grid keeps all rules") for name in space if isinstance(space[name], Rule)]
        raise ConfigError(rules, where="search space")
    return points


def size(space: Space) -> float:
    """How many points a space has; infinity where something in it is a real number, or where they are over a hundred thousand.

    Args:
        space: what is searched.

    Example:
        >>> from rayseg.space import choice, uniform, when
        >>> size({"a": choice([1, 2]), "b": when({"a": 2}, choice([3, 4, 5]))}), size({"a": uniform(0, 1)})
        (4, inf)
    """
    if not all(isinstance(dimension, Choice | IntUniform) for dimension in axes(space).values()):
        return math.inf
    counted = sum(1 for _ in itertools.islice(all_drawn(space), _MAX_COUNTED + 1))
    return counted if counted <= _MAX_COUNTED else math.inf


def axes(space: Space) -> dict[str, Dimension]:
    """Everything that is ever drawn: name -> dimension. One inside an option of a choice has that option in its name.

    Args:
        space: what is searched.

    Example:
        >>> from rayseg.space import choice, uniform
        >>> list(axes({"sampling": choice([None, {"type": "ohem", "thresh": uniform(0.5, 0.9)}])}))
        ['sampling', 'sampling.thresh (ohem)']
    """
    return _explored(space)[0]


def conditional_axes(space: Space) -> list[str]:
    """Names of what is drawn in some points only.

    Args:
        space: what is searched.

    Example:
        >>> from rayseg.space import choice, uniform
        >>> conditional_axes({"a": choice([None, {"b": uniform(0, 1)}]), "c": uniform(0, 1)})
        ['a.b (option 1)']
    """
    drawn = [_point_with(space, ends)[1] for ends in ({}, *({name: end} for name, end in _single_ends(space)))]
    return [name for name in axes(space) if not all(name in own for own in drawn)]


def flat(space: Space) -> FlatSpace:
    """A space in which every key has a dimension of its own, and nothing else is drawn.

    Args:
        space: what is searched.

    Raises:
        ConfigError: it has mixes, conditions, rules, or choices in which dimensions stand.

    Example:
        >>> from rayseg.space import uniform
        >>> list(flat({"a": uniform(0, 1)}))
        ['a']
    """
    told = "is {}; a population needs dimensions of their own: choice, uniform, log_uniform or int_uniform"
    problems = [Problem(key, told.format(part)) for key, part in space.items() if axes({key: part}) != {key: part}]
    if problems:
        raise ConfigError(problems, where="search space")
    return axes(space)


def keys_of(space: Space) -> dict[str, str]:
    """Dotted config keys that a point of the space may have, with what is searched there in words.

    Args:
        space: what is searched.

    Example:
        >>> from rayseg.space import simplex
        >>> keys_of({"losses.*.weight": simplex(["ce", "dice"])})
        {'losses.ce.weight': 'shares of ce, dice: sum 1', 'losses.dice.weight': 'shares of ce, dice: sum 1'}
    """
    points = [*corners(space)]
    found = dict.fromkeys(key for point in points for key in point)
    return {key: _words(space, key) for key in found}


def _words(space: Space, key: str) -> str:
    """What is searched under a key: its own entry, else the dimensions that are drawn for it, else the entry that has it."""
    if key in space:
        return str(space[key])
    owner = next(str(part) for own, part in space.items() if provides(own, key) and not isinstance(part, Rule))
    if any("*" in own and provides(own, key) for own in space):
        return owner
    return " or ".join(str(part) for name, part in axes(space).items() if name.partition(" (")[0] == key) or owner


def _single_ends(space: Space) -> list[tuple[str, Any]]:
    return [(name, end) for name, dimension in axes(space).items() for end in dimension.ends]


def corners(space: Space) -> Iterator[dict[str, Any]]:
    """Points at which a space is validated: every end of every dimension, the others at their first end; then all last ends.

    What is searched under a condition is reached by the ends that fulfil it. Points that break a rule are left out; where
    there are rules, eight random points that keep them come last.

    Args:
        space: what is searched.

    Raises:
        ConfigError: no point keeps the rules.

    Example:
        >>> from rayseg.space import uniform
        >>> [sorted(point.values()) for point in corners({"a": uniform(0, 1), "b": uniform(2, 3)})]
        [[0, 2], [1, 2], [0, 3], [1, 3]]
    """
    found = _explored(space)[1]
    last = draw_point(space, lambda _name, dimension: dimension.ends[-1])
    found = found if last in found else [*found, last]
    yield from (point for point in found if not broken_rules(space, point))
    if any(isinstance(part, Rule) for part in space.values()):
        yield from (random_point(space, np.random.default_rng([0, number])) for number in range(8))


def _finite(part: Part, key: str) -> bool:
    return all(isinstance(dimension, Choice | IntUniform) for dimension in axes({key: part}).values())


def _values(dimension: Dimension) -> tuple[Any, ...]:
    """All of a finite dimension."""
    return tuple(range(dimension.low, dimension.high + 1)) if isinstance(dimension, IntUniform) else dimension.ends


def all_drawn(space: Space) -> Iterator[tuple[dict[str, Any], dict[str, tuple[Dimension, Any]]]]:
    """Every combination that keeps the rules, with what is drawn for it: name -> dimension and value.

    The last dimension turns first: an odometer whose wheels may come and go.

    Args:
        space: of choices and whole numbers.

    Example:
        >>> from rayseg.space import choice
        >>> [point for point, _ in all_drawn({"a": choice([1, 2]), "b": choice([3])})]
        [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    wheels: list[int] = []
    while True:
        point, drawn = _point_at(space, wheels)
        if not broken_rules(space, point):
            yield point, drawn
        sizes = [len(_values(dimension)) for dimension, _ in drawn.values()]
        wheels += [0] * (len(sizes) - len(wheels))
        while wheels and wheels[-1] + 1 == sizes[len(wheels) - 1]:
            wheels.pop()
        if not wheels:
            return
        wheels[-1] += 1


def _point_at(space: Space, wheels: Sequence[int]) -> tuple[dict[str, Any], dict[str, tuple[Dimension, Any]]]:
    """The point at positions of its dimensions, the first value where none is said; and what was drawn for it."""
    drawn: dict[str, tuple[Dimension, Any]] = {}

    def draw(name: str, dimension: Dimension) -> Any:
        value = _values(dimension)[wheels[len(drawn)] if len(drawn) < len(wheels) else 0]
        drawn[name] = dimension, value
        return value

    return draw_point(space, draw), drawn


def _explored(space: Space) -> tuple[dict[str, Dimension], list[dict[str, Any]]]:
    """Every dimension by its name, and the points at its ends."""
    known: dict[str, Dimension] = {}
    points: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = [{}]
    while waiting:
        ends = waiting.pop(0)
        point, drawn = _point_with(space, ends)
        points += [] if point in points else [point]
        new = {name: dimension for name, dimension in drawn.items() if name not in known}
        known |= new
        waiting += [{**ends, name: end} for name, dimension in new.items() for end in dimension.ends[1:]]
    return known, points


def _point_with(space: Space, ends: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Dimension]]:
    """The point with some values, the first ends elsewhere; and what was drawn for it."""
    drawn: dict[str, Dimension] = {}

    def draw(name: str, dimension: Dimension) -> Any:
        drawn[name] = dimension
        return ends.get(name, dimension.ends[0])

    return draw_point(space, draw), drawn
