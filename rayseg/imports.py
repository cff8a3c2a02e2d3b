"""Large packages are imported without looking for garbage meanwhile.

Python looks for it each time so many objects are made. Modules are objects that stay: of the import of torch, its compiler and
Ray a quarter of the time went into finding nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["importing"]


@contextmanager
def importing() -> Iterator[None]:
    """What is imported in it is imported at one go; nothing changes for who has switched the collector off.

    Example:
        >>> with importing():
        ...     import decimal
        >>> gc.isenabled()
        True
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
