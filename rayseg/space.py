"""Search spaces as vocabulary: what may be tried, printable and checkable without a cluster.

A space is a mapping from dotted config keys to dimensions. ``points`` makes the trials of a random or grid search as a pure
function of the seed; ``corners`` are the points at which a space is validated before a worker starts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from rayseg.errors import ConfigError, Problem

__all__ = [
    "Choice",
    "Dimension",
    "IntUniform",
    "LogUniform",
    "Space",
    "Uniform",
    "choice",
    "corners",
    "describe",
    "grid_points",
    "int_uniform",
    "log_uniform",
    "random_points",
    "uniform",
]


class Dimension(Protocol):
    """One thing that is searched."""

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values at which it is validated."""
        ...

    def sample(self, rng: np.random.Generator) -> Any:
        """One random value."""
        ...

    def __str__(self) -> str:
        """As a person would write it."""
        ...


#: Dotted config key -> dimension.
Space = Mapping[str, Dimension]


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values

    def sample(self, rng: np.random.Generator) -> Any:
        """One of them, each as likely."""
        return self.values[int(rng.integers(len(self.values)))]

    def __str__(self) -> str:
        return f"one of {', '.join(str(value) for value in self.values)}"


@dataclass(frozen=True)
class Uniform:
    """A real number between two."""

    low: float
    high: float

    @property
    def ends(self) -> tuple[float, float]:
        """The two."""
        return self.low, self.high

    def sample(self, rng: np.random.Generator) -> float:
        """Equally likely anywhere."""
        return float(rng.uniform(self.low, self.high))

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class LogUniform:
    """A positive number whose logarithm is uniform."""

    low: float
    high: float

    @property
    def ends(self) -> tuple[float, float]:
        """The two bounds."""
        return self.low, self.high

    def sample(self, rng: np.random.Generator) -> float:
        """Equally likely in every decade."""
        return float(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, log"


@dataclass(frozen=True)
class IntUniform:
    """A whole number between two, both included."""

    low: int
    high: int

    @property
    def ends(self) -> tuple[int, int]:
        """The two."""
        return self.low, self.high

    def sample(self, rng: np.random.Generator) -> int:
        """Equally likely."""
        return int(rng.integers(self.low, self.high + 1))

    def __str__(self) -> str:
        return f"{self.low} to {self.high}, whole"


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise ConfigError([Problem("", message)], where="search space")


def choice(values: Sequence[Any]) -> Choice:
    """One of some values; null removes a node, a mapping replaces it whole.

    Example:
        >>> str(choice([0.5, 0.7, 0.9]))
        'one of 0.5, 0.7, 0.9'
    """
    _require(len(values) > 0, "choice: got no values; give at least one")
    return Choice(tuple(values))


def uniform(low: float, high: float) -> Uniform:
    """A real number between two.

    Example:
        >>> str(uniform(0, 1))
        '0 to 1'
    """
    _require(low < high, f"uniform: got low {low:g} and high {high:g}; low must be less")
    return Uniform(low, high)


def log_uniform(low: float, high: float) -> LogUniform:
    """A positive number, equally likely in every decade: learning rates, ``min_kept`` as a fraction.

    Example:
        >>> str(log_uniform(1e-4, 1e-1))
        '0.0001 to 0.1, log'
    """
    _require(0 < low < high, f"log_uniform: got low {low:g} and high {high:g}; expected 0 < low < high")
    return LogUniform(low, high)


def int_uniform(low: int, high: int) -> IntUniform:
    """A whole number between two, both included.

    Example:
        >>> str(int_uniform(1, 4))
        '1 to 4, whole'
    """
    _require(low < high, f"int_uniform: got low {low} and high {high}; low must be less")
    return IntUniform(low, high)


def random_points(space: Space, num: int, seed: int) -> list[dict[str, Any]]:
    """Points of a random search: the i-th is a function of (seed, i), so a longer search begins like a shorter one.

    Example:
        >>> space = {"optim.lr": log_uniform(1e-3, 1e-1)}
        >>> random_points(space, 3, seed=0)[:2] == random_points(space, 2, seed=0)
        True
    """
    points = []
    for index in range(num):
        rng = np.random.default_rng([seed, index])
        points.append({key: dimension.sample(rng) for key, dimension in space.items()})
    return points


def grid_points(space: Space) -> list[dict[str, Any]]:
    """Every combination of the choices.

    Raises:
        ConfigError: a dimension is not a choice.

    Example:
        >>> grid_points({"a": choice([1, 2]), "b": choice(["x"])})
        [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'x'}]
    """
    open_ended = [key for key, dimension in space.items() if not isinstance(dimension, Choice)]
    if open_ended:
        problems = [Problem(key, f"a grid needs values, got {space[key]}; use choice([...])") for key in open_ended]
        raise ConfigError(problems, where="search space")
    values = [dimension.ends for dimension in space.values()]
    return [dict(zip(space, combination, strict=True)) for combination in itertools.product(*values)]


def corners(space: Space) -> Iterator[dict[str, Any]]:
    """Points at which a space is validated: every end of every dimension, the others at their first end; then all last ends.

    Example:
        >>> [sorted(point.values()) for point in corners({"a": uniform(0, 1), "b": uniform(2, 3)})]
        [[0, 2], [1, 2], [0, 3], [1, 3]]
    """
    first = {key: dimension.ends[0] for key, dimension in space.items()}
    seen = [first]
    for key, dimension in space.items():
        seen += [{**first, key: end} for end in dimension.ends[1:]]
    last = {key: dimension.ends[-1] for key, dimension in space.items()}
    yield from seen if last in seen else [*seen, last]


def describe(space: Space) -> str:
    """The space as a person reads it, one line per key.

    Example:
        >>> print(describe({"optim.lr": log_uniform(1e-3, 1e-1), "losses.dice.weight": choice([0, 1, 3])}))
        optim.lr            0.001 to 0.1, log
        losses.dice.weight  one of 0, 1, 3
    """
    width = max((len(key) for key in space), default=0)
    return "\n".join(f"{key:<{width}}  {dimension}" for key, dimension in space.items())
