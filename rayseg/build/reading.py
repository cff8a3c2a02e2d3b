"""What readers of built objects share: arguments of callables, and places that must agree."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import torch

from rayseg.build.resolve import Resolved

__all__ = ["UnreadableError", "agreed", "argument"]


class UnreadableError(Exception):
    """Nothing that was built tells the value of a key; the message says why."""


def argument(call: Resolved | None, made: Any, names: Sequence[str]) -> Any:
    """An argument as the object has it, as it was called with, or as its default is; all of a part is its type."""
    if call is None:
        raise UnreadableError("there is no such part")
    names = names[1:] if names[:1] == ["args"] else names
    if not names or names == ["type"]:
        return call.name
    if isinstance(made, partial):
        source: Mapping[str, Any] = made.keywords
    elif is_dataclass(made):
        source = {**call.kwargs, **{each.name: getattr(made, each.name) for each in fields(made)}}
    else:
        source = call.kwargs
    value = source[names[0]] if names[0] in source else _default(call, names[0])
    for name in names[1:]:
        value = argument(value, None, [name]) if isinstance(value, Resolved) else value[name]
    return value


def _default(call: Resolved, name: str) -> Any:
    parameter = inspect.signature(call.target).parameters.get(name)
    if parameter is None or parameter.default is inspect.Parameter.empty:
        raise UnreadableError(f"{call.name!r} was not called with {name!r}")
    return parameter.default


def agreed(values: Sequence[Any]) -> Any:
    """The one value of several places that must have the same."""
    first = values[0]
    for other in values[1:]:
        equal = torch.equal(first, other) if isinstance(first, torch.Tensor) else first == other
        if not equal:
            raise UnreadableError(f"several places should have it and differ: {first}, {other}")
    return first
