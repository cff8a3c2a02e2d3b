"""The one way to change a config: dotted keys over a tree.

An override replaces exactly the node that it names. A whole spec adds a term to a named mapping, null removes one, and a leaf
below a name that is not there is an error. Where one override names a part of what another names, the shorter one comes first.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, get_origin

from pydantic import BaseModel

from rayseg.config.faults import nearest, unknown_key
from rayseg.config.plain import plain
from rayseg.config.shape import child, keys, mapping_at
from rayseg.config.text import to_line
from rayseg.errors import ConfigError, Problem

__all__ = ["overlaid", "overlay"]


def overlay(tree: Mapping[str, Any], overrides: Mapping[str, Any], schema: type[BaseModel]) -> dict[str, Any]:
    """A new tree with the overrides applied.

    Args:
        tree: nested mappings, as :meth:`ExperimentConfig.to_dict` gives them.
        overrides: dotted path to value; numpy scalars, arrays and tuples become plain data.
        schema: the model that the tree is of; it says which keys there are.

    Raises:
        ConfigError: with every override that cannot be applied.

    Example:
        >>> from rayseg.config import ExperimentConfig
        >>> tree = ExperimentConfig().to_dict()
        >>> overlay(tree, {"losses.dice": {"type": "dice"}, "losses.ce": None}, ExperimentConfig)["losses"]
        {'dice': {'type': 'dice'}}
    """
    result, problems = overlaid(tree, overrides, schema)
    if problems:
        raise ConfigError(problems, "overrides")
    return result


def overlaid(
    tree: Mapping[str, Any], overrides: Mapping[str, Any], schema: type[BaseModel]
) -> tuple[dict[str, Any], list[Problem]]:
    """As :func:`overlay`, but the faults are returned, beside the tree with what could be applied.

    Example:
        >>> from rayseg.config import ExperimentConfig
        >>> [problem.path for problem in overlaid({}, {"train.stepz": 3}, ExperimentConfig)[1]]
        ['train.stepz']
    """
    result = copy.deepcopy(dict(tree))
    problems: list[Problem] = []
    for path in sorted(overrides, key=lambda path: str(path).count(".")):
        value, faults = plain(overrides[path], str(path))
        problems += faults
        if not faults:
            try:
                _set(result, schema, str(path), value)
            except _FaultError as fault:
                problems.append(fault.problem)
    return result, problems


class _FaultError(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def _set(tree: dict[str, Any], schema: type[BaseModel], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    node, place = tree, schema
    for depth, key in enumerate(parents, start=1):
        here = ".".join(parents[:depth])
        inner = _inner(node, place, key, here, schema)
        node = _mapping(node, place, key, here)
        place = mapping_at(inner, node)
    _inner(node, place, last, path, schema)
    _put(node, place, last, path, value)


def _inner(node: dict[str, Any], place: Any, key: str, path: str, schema: type[BaseModel]) -> Any:
    """The annotation of what stands under a key that the place must be able to have."""
    inner = child(place, key)
    if inner is None or (not key and key not in node):
        raise _FaultError(unknown_key(path, keys(place, node), schema))
    return inner


def _mapping(node: dict[str, Any], place: Any, key: str, path: str) -> dict[str, Any]:
    """The mapping that stands under a key, to be changed."""
    if key not in node:
        default = _default(place, key)
        if default is None:
            raise _FaultError(Problem(path, _absent(node, key, path)))
        node[key] = default
    below = node[key]
    if below is None:
        raise _FaultError(Problem(path, f"is null, so there is nothing in it to change; set it whole: {path}={{...}}"))
    if not isinstance(below, dict):
        raise _FaultError(Problem(path, f"is {to_line(below)}, which has no keys; replace it whole: {path}=..."))
    return below


def _default(place: Any, key: str) -> Any:
    field = place.model_fields.get(key) if isinstance(place, type) and issubclass(place, BaseModel) else None
    return plain(field.get_default(call_default_factory=True))[0] if field and not field.is_required() else None


def _absent(node: dict[str, Any], key: str, path: str) -> str:
    return f"is not there; {_there(path, node)}. To add it, give it whole: {path}={{...}}.{nearest(key, node)}"


def _there(path: str, node: dict[str, Any]) -> str:
    return f"{path.rpartition('.')[0]!r} {'has ' + ', '.join(node) if node else 'is empty'}"


def _put(node: dict[str, Any], place: Any, key: str, path: str, value: Any) -> None:
    removes = value is None and get_origin(place) is dict and child(place, key) is not Any
    if not removes:
        node[key] = value
    elif key in node:
        del node[key]
    else:
        raise _FaultError(Problem(path, f"is not there, so it cannot be removed; {_there(path, node)}.{nearest(key, node)}"))
