"""What is said about a wrong config: one line per fault, with the valid keys and the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rayseg.config.plain import plain
from rayseg.config.shape import child, keys, mapping_at, paths_to
from rayseg.config.text import to_line
from rayseg.errors import Problem

__all__ = ["nearest", "schema_problems", "unknown_key"]

#: Union branches are tagged ``<so>`` in the schema; tags are no part of a path.
_TAG = ("<", "[key]")

_EXPECTED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping from names",
    "finite_number": "a finite number",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text (put it in quotes)",
    "tuple_type": "a list",
}
_BOUND = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def nearest(word: str, words: Iterable[str]) -> str:
    """A hint at the word that was meant, or nothing.

    Example:
        >>> nearest("smoth", ["smooth", "power"])
        " Did you mean 'smooth'?"
    """
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def unknown_key(path: str, valid: Sequence[str], root: type[BaseModel]) -> Problem:
    """The problem of a key that a section does not have.

    Args:
        path: dotted path of the unknown key.
        valid: keys that its section has.
        root: the whole schema, where the key may have its place.

    Example:
        >>> from rayseg.config import EmaConfig
        >>> print(unknown_key("ema.decai", ["decay", "warmup"], EmaConfig))
        ema.decai: 'ema' has no key 'decai'; it takes decay, warmup. Did you mean 'decay'?
    """
    owner, _, key = path.rpartition(".")
    elsewhere = paths_to(key, root)
    hint = nearest(key, valid) or (f" Did you mean {' or '.join(map(repr, elsewhere[:3]))}?" if elsewhere else "")
    return Problem(path, f"{repr(owner) if owner else 'the config'} has no key {key!r}; it takes {', '.join(valid)}.{hint}")


def schema_problems(error: ValidationError, root: type[BaseModel], tree: Any) -> list[Problem]:
    """One problem for each fault that pydantic found.

    Args:
        error: what pydantic raised.
        root: the model that was validated.
        tree: the data that was validated.
    """
    return [_problem(detail, root, tree) for detail in error.errors(include_url=False)]


def _problem(detail: ErrorDetails, root: type[BaseModel], tree: Any) -> Problem:
    loc = [part for part in detail["loc"] if not str(part).startswith(_TAG)]
    path = ".".join(map(str, loc))
    if detail["type"] == "extra_forbidden":
        return unknown_key(path, list(_owner(root, tree, loc).model_fields), root)
    return Problem(path, _message(detail, root, tree, loc))


def _owner(root: type[BaseModel], tree: Any, loc: Sequence[int | str]) -> Any:
    """The mapping, as :func:`mapping_at` names it, that holds the last part of a location."""
    place: Any = root
    for part in loc[:-1]:
        tree = tree.get(part) if isinstance(tree, dict) else None
        place = mapping_at(child(place, str(part)), tree)
    return place


def _message(detail: ErrorDetails, root: type[BaseModel], tree: Any, loc: Sequence[int | str]) -> str:
    kind, context, got = detail["type"], detail.get("ctx", {}), _shown(detail["input"])
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return _missing(root, tree, loc)
    if kind in {"model_type", "model_attributes_type"}:
        inner = mapping_at(child(_owner(root, tree, loc), str(loc[-1])), None) if loc else root
        return f"must be a mapping with the keys {', '.join(keys(inner, None))}; got {got}"
    if kind == "literal_error":
        expected = str(context["expected"])
        hint = nearest(got, expected.split("'"))
        return f"must be {expected}, got {got}{f'.{hint}' if hint else ''}"
    if kind in _BOUND:
        word, bound = _BOUND[kind]
        return f"must be {word} {context[bound]:g}, got {got}"
    if kind in {"too_short", "too_long"}:
        return (
            f"must be a list of {context.get('min_length') or context.get('max_length')} items, got {context['actual_length']}"
        )
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}, got {got}"
    return f"{detail['msg'][0].lower()}{detail['msg'][1:]}, got {got}"


def _missing(root: type[BaseModel], tree: Any, loc: Sequence[int | str]) -> str:
    if isinstance(loc[-1], int):
        return "is missing; the list is too short"
    key = str(loc[-1])
    description = _owner(root, tree, loc).model_fields[key].description
    return f"is missing; give {key!r}{f': {description}' if description else ''}"


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else to_line(plain(value)[0])
    return text if len(text) <= 80 else f"{text[:77]}..."
