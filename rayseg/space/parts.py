"""What a part of a space is: it says which keys it has and what is drawn for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rayseg.errors import ConfigError, Problem

__all__ = ["Dimension", "Draw", "FlatSpace", "Part", "Space", "required"]


@runtime_checkable
class Part(Protocol):
    """What stands under a key of a space."""

    def point(self, key: str, draw: Draw) -> dict[str, Any]:
        """Dotted config keys and their values, drawn.

        Args:
            key: where it stands in the space.
            draw: gives a value of a dimension, which has a name.
        """
        ...

    def __str__(self) -> str:
        """As a person would write it."""
        ...


class Dimension(Part, Protocol):
    """A part whose value a searcher draws."""

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values at which it is validated."""
        ...

    def sample(self, rng: np.random.Generator) -> Any:
        """One random value."""
        ...


#: ``draw(name, dimension)``: a value of the dimension, at random, of a grid, or as a searcher proposes.
Draw = Callable[[str, Dimension], Any]

#: Dotted config key -> what is searched there; a rule (:func:`rayseg.space.require`) has its name as key.
Space = Mapping[str, Part]

#: A space in which every key has a dimension of its own.
FlatSpace = Mapping[str, Dimension]


def required(ok: bool, message: str) -> None:
    """Refuse a part of a space that cannot be.

    Args:
        ok: whether it can.
        message: what was got, what was expected.

    Raises:
        ConfigError: it cannot.

    Example:
        >>> required(1 < 2, "one is less than two")
    """
    if not ok:
        raise ConfigError([Problem("", message)], where="search space")
