"""``--cfg-options``: words of MMSegmentation's command line, over what a file says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rayseg.compat.mmseg.merging import DELETE, merged, without_marks
from rayseg.errors import ConfigError, Problem

__all__ = ["parse_cfg_options", "with_cfg_options"]


def parse_cfg_options(words: Sequence[str]) -> dict[str, Any]:
    """Dotted key to value, of words such as ``optimizer.lr=0.02``.

    A value is a whole number, else a number, else true or false, else None, else text; ``1,2`` and ``[1,2]`` are lists,
    ``(1,2)`` is a tuple, and they nest. Source: ``DictAction`` of mmcv and MMEngine.

    Args:
        words: ``KEY=VALUE``.

    Raises:
        ConfigError: a word has no ``=``, or brackets that do not match; all of them at once.

    Example:
        >>> parse_cfg_options(["a.b=1", "c=[1,2]", "d=(1,x)", "e=1,2", "f=true", "g=1e-3"])
        {'a.b': 1, 'c': [1, 2], 'd': (1, 'x'), 'e': [1, 2], 'f': True, 'g': 0.001}
    """
    found, problems = {}, []
    for word in words:
        key, equals, text = word.partition("=")
        if not key or not equals:
            problems.append(Problem(word, "expected KEY=VALUE, such as optimizer.lr=0.02"))
        elif any(text.count(left) != text.count(right) for left, right in ("()", "[]")):
            problems.append(Problem(key, f"the brackets of {text!r} do not match"))
        else:
            found[key] = _value(text)
    if problems:
        raise ConfigError(problems, "--cfg-options")
    return found


def _value(text: str) -> Any:
    text = text.strip("'\"").replace(" ", "")
    is_tuple, is_list = (text[:1] == left and text[-1:] == right for left, right in ("()", "[]"))
    if is_tuple or is_list:
        text = text[1:-1]
    elif "," not in text:
        return _scalar(text)
    values = [_value(part) for part in _parts(text)]
    return tuple(values) if is_tuple else values


def _parts(text: str) -> list[str]:
    """Cut at the commas that stand in no bracket."""
    parts, depth, begin = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append(text[begin:at])
            begin = at + 1
    return [*parts, text[begin:]] if text[begin:] else parts


def _scalar(text: str) -> Any:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        return float(text)
    return None if text == "None" else text


def with_cfg_options(tree: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The config with some of its values replaced.

    Args:
        tree: what the file gives.
        options: dotted key to value; a number in a key is the place in a list; what is not there is made. A dict is merged into
            the one that is there, unless it has ``_delete_=True``.

    Raises:
        ConfigError: a key leads through what is no dict and no list, or behind the end of a list; all of them at once.

    Example:
        >>> with_cfg_options({"hooks": [{"type": "A"}]}, {"hooks.0.type": "B", "model.depth": 50})
        {'hooks': [{'type': 'B'}], 'model': {'depth': 50}}
    """
    result: Any = dict(tree)
    problems: list[Problem] = []
    for key, value in options.items():
        result = _replaced(result, key.split("."), value, "", problems)
    if problems:
        raise ConfigError(problems, "--cfg-options")
    changed: dict[str, Any] = result
    return changed


def _replaced(node: Any, keys: Sequence[str], value: Any, path: str, problems: list[Problem]) -> Any:
    if not keys:
        merges = isinstance(value, Mapping) and isinstance(node, Mapping) and not value.get(DELETE)
        return merged(value, node, problems, path) if merges else without_marks(value)
    key, *rest = keys
    here = f"{path}.{key}" if path else key
    if isinstance(node, list | tuple) and key.isdigit() and int(key) < len(node):
        items = list(node)
        items[int(key)] = _replaced(items[int(key)], rest, value, here, problems)
        return type(node)(items)
    if isinstance(node, list | tuple):
        problems.append(Problem(here, f"there is a list of {len(node)}; write a place from 0 to {len(node) - 1}"))
    elif node is not None and not isinstance(node, Mapping):
        problems.append(Problem(here, f"there is {node!r}, which has no keys; replace {path or 'it'} whole"))
    else:
        return {**(node or {}), key: _replaced((node or {}).get(key), rest, value, here, problems)}
    return node
