"""A value of plain data as an annotation wants it."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

__all__ = ["typed"]


def typed(value: Any, hint: Any) -> tuple[Any, str | None]:
    """The value in the type of an annotation, by JSON's rules: a list becomes a tuple, text never a number.

    A number stays as it was written: 5000 and 5000.0 are equal, but may mean a count and a fraction.

    Args:
        value: plain data.
        hint: an annotation; None: anything goes.

    Returns:
        The value, and what is wrong with it, if anything is.

    Example:
        >>> typed([1, 2], tuple[int, int])
        ((1, 2), None)
        >>> typed("1", int)[1]
        "got '1', expected int (input should be a valid integer)"
    """
    if hint is None or hint is Any:
        return value, None
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except Exception:  # noqa: BLE001 - an annotation that pydantic cannot read is the user's own; the value passes as it is
        return value, None
    try:
        converted = adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        wanted = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
        return value, f"got {value!r}, expected {wanted} ({error.errors()[0]['msg'].lower()})"
    return (value if type(value) in (int, float) and converted == value else converted), None
