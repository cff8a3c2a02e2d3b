"""Arguments of transforms, looked at when they are given."""

from __future__ import annotations

from rayseg.errors import ConfigError, Problem

__all__ = ["require", "require_range", "require_size"]


def require(condition: bool, where: str, name: str, message: str) -> None:
    """Raise unless the condition holds."""
    if not condition:
        raise ConfigError([Problem(name, message)], where=where)


def require_range(bounds: tuple[float, float], where: str, name: str) -> None:
    """Two positive numbers in order."""
    fits = len(bounds) == 2 and 0 < bounds[0] <= bounds[1]
    require(fits, where, name, f"expected 0 < low <= high, got {list(bounds)}")


def require_size(size: tuple[int, int], where: str, name: str) -> None:
    """Height and width of a pixel or more."""
    fits = len(size) == 2 and min(size) >= 1
    require(fits, where, name, f"expected [height, width] in px, both at least 1, got {list(size)}")
