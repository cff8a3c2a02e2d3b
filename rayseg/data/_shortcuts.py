"""Ways around ``dataset[index]`` and ``transform(sample, rng)`` that spare work, where they lead to the same samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["shortcut"]


def shortcut(owner: object, name: str, *, instead_of: str) -> Callable[..., Any] | None:
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
    nearest = next((kind for kind in type(owner).__mro__ if {name, instead_of} & vars(kind).keys()), object)
    found: Callable[..., Any] | None = getattr(owner, name) if name in vars(nearest) else None
    return found
