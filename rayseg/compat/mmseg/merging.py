"""A child's values over its bases': mappings are merged, everything else is replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rayseg.errors import Problem

__all__ = ["DELETE", "duplicates", "merged", "without_marks"]

#: The key with which a mapping replaces the one of the base.
DELETE = "_delete_"


def merged(child: Mapping[str, Any], base: Mapping[str, Any], problems: list[Problem], path: str = "") -> dict[str, Any]:
    """The base with what the child says otherwise.

    Source: ``Config._merge_a_into_b`` of mmcv and MMEngine.

    Args:
        child: what is written later; ``_delete_=True`` in a mapping replaces the base's.
        base: what is written earlier.
        problems: a mapping over what is none, without ``_delete_``, is added here.
        path: of both, for the problems.

    Example:
        >>> merged({"optimizer": {"lr": 0.1}}, {"optimizer": {"type": "SGD", "lr": 0.01}}, [])
        {'optimizer': {'type': 'SGD', 'lr': 0.1}}
    """
    result = dict(base)
    for key, value in child.items():
        here = f"{path}.{key}" if path else str(key)
        old = base.get(key)
        if not isinstance(value, Mapping) or key not in base or value.get(DELETE):
            result[key] = without_marks(value)
        elif isinstance(old, Mapping):
            result[key] = merged(value, old, problems, here)
        else:
            got = "null" if old is None else type(old).__name__
            message = f"is a dict, and the base has {got} there; add {DELETE}=True to replace it, or write the whole value"
            problems.append(Problem(here, message))
    result.pop(DELETE, None)
    return result


def without_marks(value: Any) -> Any:
    """The value without ``_delete_``, at any depth.

    Example:
        >>> without_marks([{"_delete_": True, "a": 1}])
        [{'a': 1}]
    """
    if isinstance(value, Mapping):
        return {key: without_marks(inner) for key, inner in value.items() if key != DELETE}
    return type(value)(map(without_marks, value)) if isinstance(value, list | tuple) else value


def duplicates(bases: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Problem]:
    """Names that two bases of one file have.

    Args:
        bases: name of the file and what it gives, in the order written.

    Example:
        >>> [str(problem) for problem in duplicates([("a.py", {"model": {}}), ("b.py", {"model": {}})])]
        ['model: two bases of one file have it, a.py and b.py; remove it from one of them, or make one the base of the other']
    """
    first: dict[str, str] = {}
    found = []
    for name, values in bases:
        for key in values:
            if first.setdefault(key, name) != name:
                message = f"two bases of one file have it, {first[key]} and {name}; remove it from one of them, or make one "
                found.append(Problem(key, message + "the base of the other"))
    return found
