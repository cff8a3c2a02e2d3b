"""Dimensions: one thing that is searched, and what a searcher must know of it.

A searcher knows four kinds: a choice, a real number, one on a logarithmic scale, a whole number. Everything else of the
vocabulary draws from these (``mixes.py``, ``words.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rayseg.space.parts import Draw, Part, required

__all__ = [
    "Choice",
    "IntUniform",
    "LogUniform",
    "Uniform",
    "choice",
    "grid",
    "int_uniform",
    "log_grid",
    "log_uniform",
    "parted",
    "uniform",
]


@dataclass(frozen=True)
class Choice:
    """One of some values. A value may be a dimension, or a mapping in which dimensions stand."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values

    def sample(self, rng: np.random.Generator) -> Any:
        """One of them, each as likely."""
        return self.values[int(rng.integers(len(self.values)))]

    def point(self, key: str, draw: Draw) -> dict[str, Any]:
        """The value that was drawn; each dimension in it is drawn too and has a key of its own."""
        chosen = draw(key, self)
        label = self.label(chosen)
        constant, inner = parted(chosen, key)
        drawn = {} if isinstance(chosen, Part) else {key: constant}
        for place, part in inner.items():
            drawn |= part.point(place, lambda name, dimension: draw(f"{name} ({label})", dimension))
        return drawn

    def number(self, value: Any) -> int:
        """The position of one of them.

        Args:
            value: one of the values.
        """
        return next(number for number, own in enumerate(self.values) if own is value or _same(own, value))

    def label(self, chosen: Any) -> str:
        """By what a value is told from the others: its type, or its position.

        Args:
            chosen: one of the values.
        """
        types = [str(value["type"]) if isinstance(value, Mapping) and "type" in value else None for value in self.values]
        own = types[self.number(chosen)]
        return own if own is not None and types.count(own) == 1 else f"option {self.number(chosen)}"

    def __str__(self) -> str:
        return f"one of {', '.join(_text(value) for value in self.values)}"


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

    def point(self, key: str, draw: Draw) -> dict[str, Any]:
        """The number."""
        return {key: draw(key, self)}

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

    def point(self, key: str, draw: Draw) -> dict[str, Any]:
        """The number."""
        return {key: draw(key, self)}

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

    def point(self, key: str, draw: Draw) -> dict[str, Any]:
        """The number."""
        return {key: draw(key, self)}

    def __str__(self) -> str:
        return f"{self.low} to {self.high}, whole"


def choice(values: Sequence[Any]) -> Choice:
    """One of some values; null removes a node, a mapping replaces it whole.

    A value may hold dimensions, which are searched where that value is chosen and nowhere else.

    Args:
        values: config values, dimensions, or mappings that hold some.

    Raises:
        ConfigError: there is none.

    Example:
        >>> str(choice([0.5, 0.7, 0.9]))
        'one of 0.5, 0.7, 0.9'
        >>> str(choice([{"type": "cosine"}, {"type": "poly", "power": uniform(0.5, 2)}]))
        "one of {'type': 'cosine'}, {type: poly, power: 0.5 to 2}"
    """
    required(len(values) > 0, "choice: got no values; give at least one")
    return Choice(tuple(values))


def grid(low: float, high: float, num: int) -> Choice:
    """Numbers at equal distances, both ends included.

    Raises:
        ConfigError: fewer than two, or the ends are not in order.

    Example:
        >>> str(grid(0.5, 0.9, 3))
        'one of 0.5, 0.7, 0.9'
    """
    required(low < high and num >= 2, f"grid: got low {low:g}, high {high:g}, num {num}; expected low < high and num >= 2")
    return Choice(tuple(float(f"{value:.12g}") for value in np.linspace(low, high, num)))


def log_grid(low: float, high: float, num: int) -> Choice:
    """Positive numbers at equal ratios, both ends included.

    Raises:
        ConfigError: fewer than two, an end is not positive, or the ends are not in order.

    Example:
        >>> str(log_grid(0.001, 0.1, 3))
        'one of 0.001, 0.01, 0.1'
    """
    told = f"log_grid: got low {low:g}, high {high:g}, num {num}; expected 0 < low < high and num >= 2"
    required(0 < low < high and num >= 2, told)
    return Choice(tuple(float(f"{value:.12g}") for value in np.geomspace(low, high, num)))


def uniform(low: float, high: float) -> Uniform:
    """A real number between two.

    Example:
        >>> str(uniform(0, 1))
        '0 to 1'
    """
    required(low < high, f"uniform: got low {low:g} and high {high:g}; low must be less")
    return Uniform(low, high)


def log_uniform(low: float, high: float) -> LogUniform:
    """A positive number, equally likely in every decade: learning rates, ``min_kept`` as a fraction.

    Example:
        >>> str(log_uniform(1e-4, 1e-1))
        '0.0001 to 0.1, log'
    """
    required(0 < low < high, f"log_uniform: got low {low:g} and high {high:g}; expected 0 < low < high")
    return LogUniform(low, high)


def int_uniform(low: int, high: int) -> IntUniform:
    """A whole number between two, both included.

    Example:
        >>> str(int_uniform(1, 4))
        '1 to 4, whole'
    """
    required(low < high, f"int_uniform: got low {low} and high {high}; low must be less")
    return IntUniform(low, high)


def parted(value: Any, key: str) -> tuple[Any, dict[str, Part]]:
    """What is constant in a value, and the parts in it by their keys.

    Args:
        value: of a choice.
        key: where it stands.

    Example:
        >>> parted({"type": "ohem", "thresh": uniform(0.5, 0.9)}, "sampling")[0]
        {'type': 'ohem'}
    """
    if isinstance(value, Part):
        return None, {key: value}
    if not isinstance(value, Mapping):
        return value, {}
    constant: dict[str, Any] = {}
    parts: dict[str, Part] = {}
    for name, below in value.items():
        own, inner = parted(below, f"{key}.{name}")
        parts |= inner
        if not isinstance(below, Part):
            constant[name] = own
    return constant, parts


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and parted(value, "")[1]:
        return "{" + ", ".join(f"{name}: {_text(below)}" for name, below in value.items()) + "}"
    return str(value)
