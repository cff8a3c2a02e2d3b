"""Random points of a space, none of them twice."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from rayseg.space.dimensions import Choice, IntUniform
from rayseg.space.enumerated import all_drawn, axes
from rayseg.space.parts import Dimension, Space
from rayseg.space.points import drawn_at_random

__all__ = ["distinct_size", "drawn_anew", "point_name", "random_points"]

#: Points that were there already, one after the other, before those that are left are listed.
_TRIES = 20
#: Points that are listed.
_MAX_LISTED = 100_000


def random_points(space: Space, num: int, seed: int) -> list[dict[str, Any]]:
    """Different points of a random search; a longer search begins like a shorter one.

    The i-th is a function of (seed, i) and of those before it, which are not drawn again.

    Args:
        space: what is searched.
        num: of points; where the space has fewer, all of them.
        seed: of the search.

    Raises:
        ConfigError: no point keeps the rules.

    Example:
        >>> from rayseg.space import choice, log_uniform
        >>> space = {"optim.lr": log_uniform(1e-3, 1e-1)}
        >>> random_points(space, 3, seed=0)[:2] == random_points(space, 2, seed=0)
        True
        >>> sorted(point["a"] for point in random_points({"a": choice([1, 2, 3])}, 9, seed=0))
        [1, 2, 3]
    """
    points: dict[str, dict[str, Any]] = {}
    for index in range(num):
        found = drawn_anew(space, np.random.default_rng([seed, index]), points)
        if found is None:
            break
        points[point_name(found[0])] = found[0]
    return list(points.values())


def drawn_anew(
    space: Space, rng: np.random.Generator, seen: Collection[str]
) -> tuple[dict[str, Any], dict[str, tuple[Dimension, Any]]] | None:
    """A random point that was not there yet, with what was drawn for it; None where there is none.

    Args:
        space: what is searched.
        rng: all randomness.
        seen: names of the points that were there.

    Raises:
        ConfigError: no point keeps the rules.

    Example:
        >>> from rayseg.space import choice
        >>> drawn_anew({"a": choice([1, 2])}, np.random.default_rng(0), {point_name({"a": 1})})[0]
        {'a': 2}
    """
    for _ in range(_TRIES):
        found = drawn_at_random(space, rng)
        if point_name(found[0]) not in seen:
            return found
    if not _is_finite(space):
        return found
    left = [each for each in itertools.islice(all_drawn(space), _MAX_LISTED) if point_name(each[0]) not in seen]
    return left[int(rng.integers(len(left)))] if left else None


def distinct_size(space: Space, most: int) -> float:
    """How many different points a space has, counted up to a number; infinity where it has more, or a real number in it.

    Args:
        space: what is searched.
        most: where counting ends.

    Example:
        >>> from rayseg.space import choice, uniform
        >>> space = {"a": choice([1, 2, 2])}
        >>> distinct_size(space, 9), distinct_size(space, 1), distinct_size({"a": uniform(0, 1)}, 9)
        (2, inf, inf)
    """
    if not _is_finite(space):
        return math.inf
    names: set[str] = set()
    for point, _ in all_drawn(space):
        names.add(point_name(point))
        if len(names) > most:
            return math.inf
    return len(names)


def point_name(point: Mapping[str, Any]) -> str:
    """A point as text, the same for two points that set the same values, whatever drew them.

    Args:
        point: dotted keys and values.

    Example:
        >>> point_name({"b": 1, "a": True}) == point_name({"a": True, "b": 1}), point_name({"a": 1}) == point_name({"a": True})
        (True, False)
    """
    return repr(sorted(point.items(), key=lambda item: item[0]))


def _is_finite(space: Space) -> bool:
    return all(isinstance(dimension, Choice | IntUniform) for dimension in axes(space).values())
