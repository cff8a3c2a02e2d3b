"""Where a search lies now: Tune keeps objects in files with its directory in them, and it may be moved before it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["Here", "working_in"]

_NOW: ContextVar[str | None] = ContextVar("rayseg_search", default=None)


class Here(str):
    """Directory of a search; read from a file within :func:`working_in`, it is where the search lies then.

    Example:
        >>> import pickle
        >>> kept = pickle.dumps(Here("/old/ohem"))
        >>> with working_in("/new/ohem"):
        ...     print(pickle.loads(kept))
        /new/ohem
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """What is kept: the place, for where nobody says another one."""
        return _here, (str(self),)


def _here(kept: str) -> Here:
    return Here(_NOW.get() or kept)


@contextmanager
def working_in(directory: str) -> Iterator[None]:
    """Inside, what is read of a search belongs to the one in this directory.

    Args:
        directory: of the search.

    Example:
        >>> with working_in("/new/ohem"):
        ...     pass
    """
    token = _NOW.set(directory)
    try:
        yield
    finally:
        _NOW.reset(token)
