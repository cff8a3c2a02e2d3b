"""Plain data: what a config may hold, and how numbers from elsewhere become it.

A config is text, numbers, booleans, null, lists and mappings with text keys, so that it can be written to a file, to MLflow and
back without loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from rayseg.errors import Problem

__all__ = ["plain"]


def plain(value: Any, path: str = "") -> tuple[Any, list[Problem]]:
    """Plain data equal to a value, and a problem for each part of it that has none.

    Tuples become lists; numpy and torch scalars and arrays become numbers and lists; paths become text; sections become
    mappings. Mappings and lists are copied.

    Args:
        value: anything.
        path: dotted path of the value, for the problems.

    Returns:
        The data, with null in place of what cannot be written, and the problems.

    Example:
        >>> plain({"size": (64, 64), "fn": len}, "model")
        ({'size': [64, 64], 'fn': None}, [Problem(path='model.fn', message="...")])
    """
    problems: list[Problem] = []
    return _plain(value, path, problems), problems


def _plain(value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, BaseModel):
        value = value.model_dump()
    elif hasattr(value, "tolist") and hasattr(value, "dtype"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item, _below(path, key), problems) for key, item in value.items() if _is_text(key, path, problems)}
    if isinstance(value, list | tuple):
        return [_plain(item, _below(path, index), problems) for index, item in enumerate(value)]
    if isinstance(value, PurePath):
        return str(value)
    if complaint := _complaint(value):
        problems.append(Problem(path, complaint))
        return None
    return value


def _below(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _is_text(key: Any, path: str, problems: list[Problem]) -> bool:
    if not isinstance(key, str):
        problems.append(Problem(path, f"key {key!r} must be text; put it in quotes"))
    return isinstance(key, str)


def _complaint(value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be a finite number, got {value}"
    if value is None or isinstance(value, bool | int | float | str):
        return None
    if callable(value):
        return f"{getattr(value, '__name__', value)!r} is code, not data; name it by its import path, 'package.module:name'"
    return f"must be text, a number, true, false, null, a list or a mapping, got {type(value).__name__}"
