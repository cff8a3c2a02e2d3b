"""What a look at one thing found."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        topic: what, in a word or two.
        told: what was found.
        todo: what should be done about it; None: nothing.

    Example:
        >>> Finding("storage", "runs: 3 GB free", "remove old runs").todo
        'remove old runs'
    """

    topic: str
    told: str
    todo: str | None = None
