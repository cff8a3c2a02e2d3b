"""Ways around ``dataset[index]`` and ``transform(sample, rng)`` that spare work, where they lead to the same samples."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

__all__ = ["shortcut"]


def shortcut(owner: Any, name: str, *, instead_of: str) -> Callable[..., Any] | None:
    """A method that stands for another one of an object; None where there is none, or where it stands for another class's.

    A class that has the other method of its own and inherits this one, or that hands on the attributes of what it wraps, has
    other samples than the class that the shortcut was written for: it is asked by the other method.

    Args:
        owner: a data set or a transform.
        name: of the method.
        instead_of: name of the method that it spares.

    Example:
        >>> class Whole:
        ...     def __getitem__(self, index):
        ...         return "image", "mask"
        ...
        ...     def mask(self, index):
        ...         return "mask"
        >>> class Changed(Whole):
        ...     def __getitem__(self, index):
        ...         return "image", "other mask"
        >>> shortcut(Whole(), "mask", instead_of="__getitem__")(0), shortcut(Changed(), "mask", instead_of="__getitem__")
        ('mask', None)
    """
    kind: Any = type(owner)
    found: Callable[..., Any] | None = getattr(owner, name) if _leads_there(kind, name, instead_of) else None
    return found


@lru_cache(maxsize=64)
def _leads_there(kind: type[Any], name: str, instead_of: str) -> bool:
    nearest = next((each for each in kind.__mro__ if {name, instead_of} & vars(each).keys()), object)
    return name in vars(nearest)
