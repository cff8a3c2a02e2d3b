"""Mixes: numbers that are searched together, because only their shares matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rayseg.space.dimensions import LogUniform, Uniform, log_uniform
from rayseg.space.parts import Draw, required

__all__ = ["Ratio", "Simplex", "ratio", "shares_of", "simplex", "unit_coordinates"]

_UNIT = Uniform(0.0, 1.0)


@dataclass(frozen=True)
class Simplex:
    """Shares of some names, none negative, that sum to ``total``; the key has ``*`` where the names come."""

    names: tuple[str, ...]
    total: float

    def point(self, key: str, draw: Draw) -> dict[str, Any]:
        """A share per name, from one number in [0, 1] for each name but the last."""
        drawn = [draw(_starred(key, name), _UNIT) for name in self.names[:-1]]
        shares = shares_of(drawn)
        return {_starred(key, name): self.total * share for name, share in zip(self.names, shares, strict=True)}

    def __str__(self) -> str:
        return f"shares of {', '.join(self.names)}: sum {self.total:g}"


@dataclass(frozen=True)
class Ratio:
    """Two weights by their quotient; the key has ``*`` where the names come."""

    names: tuple[str, str]
    quotient: LogUniform
    total: float

    def point(self, key: str, draw: Draw) -> dict[str, Any]:
        """Both weights, from their quotient."""
        quotient = draw(key, self.quotient)
        second = self.total / (1 + quotient)
        return {_starred(key, self.names[0]): quotient * second, _starred(key, self.names[1]): second}

    def __str__(self) -> str:
        return f"{self.names[0]} to {self.names[1]} as {self.quotient}: sum {self.total:g}"


def simplex(names: Sequence[str], total: float = 1.0) -> Simplex:
    """Weights that share a total, each mix as likely as any other (a flat Dirichlet distribution).

    It stands under a key with ``*``: ``{"losses.*.weight": simplex(["ce", "dice", "lovasz"])}``.

    Args:
        names: what comes in place of the star; two at least.
        total: what the weights sum to.

    Raises:
        ConfigError: fewer than two names, one twice, or a total that is not positive.

    Example:
        >>> mix = simplex(["ce", "dice", "lovasz"])
        >>> mix.point("losses.*.weight", lambda name, dimension: 0.5)
        {'losses.ce.weight': 0.29..., 'losses.dice.weight': 0.35..., 'losses.lovasz.weight': 0.35...}
    """
    required(len(names) >= 2 and len(set(names)) == len(names), f"simplex: got {list(names)}; give two different names or more")
    required(total > 0, f"simplex: got total {total:g}; it must be positive")
    return Simplex(tuple(names), float(total))


def ratio(names: Sequence[str], low: float, high: float, total: float = 1.0) -> Ratio:
    """Two weights whose quotient, first over second, is equally likely in every decade.

    It stands under a key with ``*``: ``{"losses.*.weight": ratio(["dice", "ce"], 0.1, 10)}``.

    Args:
        names: what comes in place of the star; two.
        low: smallest quotient.
        high: largest quotient.
        total: what the two sum to.

    Raises:
        ConfigError: not two different names, or bounds that are not positive and in order.

    Example:
        >>> ratio(["dice", "ce"], 0.1, 10, total=2).point("losses.*.weight", lambda name, dimension: 3.0)
        {'losses.dice.weight': 1.5, 'losses.ce.weight': 0.5}
    """
    required(len(names) == 2 and names[0] != names[1], f"ratio: got {list(names)}; give two different names")
    required(total > 0, f"ratio: got total {total:g}; it must be positive")
    return Ratio((names[0], names[1]), log_uniform(low, high), float(total))


def shares_of(units: Sequence[float]) -> list[float]:
    """Shares from the unit cube, so that uniform numbers give uniform shares; its corners give those of the simplex.

    What the k-th name takes of what the names before it left is Beta(1, names after it) (stick breaking: Sethuraman 1994, "A
    constructive definition of Dirichlet priors").

    Args:
        units: numbers in [0, 1], one fewer than there are shares.

    Example:
        >>> shares_of([0.0, 1.0]), shares_of([0.0, 0.0])
        ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    """
    left, shares = 1.0, []
    for number, unit in enumerate(units):
        taken = left * (1 - (1 - unit) ** (1 / (len(units) - number)))
        shares.append(taken)
        left -= taken
    return [*shares, max(left, 0.0)]


def unit_coordinates(shares: Sequence[float]) -> list[float]:
    """The inverse of :func:`shares_of`.

    Args:
        shares: not negative, of sum 1.

    Example:
        >>> [round(unit, 6) for unit in unit_coordinates(shares_of([0.25, 0.75]))]
        [0.25, 0.75]
    """
    left, units = 1.0, []
    for number, share in enumerate(shares[:-1]):
        rest = 1 - min(1.0, share / left) if left > 0 else 1.0
        units.append(1 - rest ** (len(shares) - 1 - number))
        left -= share
    return units


def _starred(key: str, name: str) -> str:
    required("*" in key, f"got the key {key!r}; a mix stands under a key with * where the names come, such as losses.*.weight")
    return key.replace("*", name)
