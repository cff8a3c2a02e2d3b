"""From a config back to what was drawn for it, so that trials of another search can be learnt from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rayseg.space.dimensions import Choice, IntUniform, LogUniform, Uniform, parted
from rayseg.space.mixes import Ratio, Simplex, unit_coordinates
from rayseg.space.parts import Dimension, Part, Space
from rayseg.space.points import draw_point
from rayseg.space.rules import When
from rayseg.space.words import Strength

__all__ = ["recovered"]


def recovered(space: Space, tree: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The point of a space that a config may be, and what is drawn for it; None where a value lies outside the space.

    What the space does not search is not looked at: whether the point makes the config is for the caller to see.

    Args:
        space: what is searched.
        tree: nested mappings, as ``ExperimentConfig.to_dict`` gives them.

    Returns:
        The point, and by name what is drawn.

    Example:
        >>> from rayseg.space import choice, uniform
        >>> space = {"sampling": choice([None, {"type": "ohem", "thresh": uniform(0.5, 0.9)}])}
        >>> recovered(space, {"sampling": {"type": "ohem", "thresh": 0.7, "min_kept": 0.1}})[0]
        {'sampling': {'type': 'ohem'}, 'sampling.thresh': 0.7}
    """
    found: dict[str, Any] = {}
    for key, part in space.items():
        found |= _drawn(part.part if isinstance(part, When) else part, key, tree) or {}
    try:
        drawn: dict[str, Any] = {}

        def draw(name: str, _dimension: Dimension) -> Any:
            drawn[name] = found[name]
            return found[name]

        return draw_point(space, draw), drawn
    except KeyError:
        return None


def _drawn(part: Part, key: str, tree: Mapping[str, Any]) -> dict[str, Any] | None:
    """By name what a part draws where the config has these values; None where it cannot."""
    match part:
        case Uniform(low=low, high=high) | LogUniform(low=low, high=high) | IntUniform(low=low, high=high):
            value = _at(tree, key)
            return {key: value} if _is_number(value) and low <= value <= high else None
        case Choice():
            return _option(part, key, tree)
        case Simplex(names=names, total=total):
            weights = [_at(tree, key.replace("*", name)) for name in names]
            if not all(map(_is_number, weights)) or not math.isclose(sum(weights), total, rel_tol=1e-9):
                return None
            units = unit_coordinates([weight / total for weight in weights])
            return {key.replace("*", name): unit for name, unit in zip(names[:-1], units, strict=True)}
        case Ratio(names=names, quotient=quotient):
            first, second = (_at(tree, key.replace("*", name)) for name in names)
            inside = _is_number(first) and _is_number(second) and second > 0
            return _drawn(quotient, "q", {"q": first / second}) and {key: first / second} if inside else None
        case Strength(of=of, by=by):
            name, full = next(iter(of.items()))
            factor = _factor(_at(tree, f"{key}.{name}"), full)
            return {f"{key} strength": factor} if factor is not None and by.low <= factor <= by.high else None
    return {}


def _option(part: Choice, key: str, tree: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first option that the config has."""
    for option in part.values:
        constant, inner = parted(option, key)
        if not isinstance(option, Part) and not _has(_at(tree, key), constant):
            continue
        drawn = [_drawn(below, place, tree) for place, below in inner.items()]
        if all(own is not None for own in drawn):
            label = part.label(option)
            return {key: option, **{f"{name} ({label})": value for own in drawn if own for name, value in own.items()}}
    return None


def _has(value: Any, constant: Any) -> bool:
    """Whether a config has what an option says; what the option does not say has its default there."""
    if isinstance(constant, Mapping):
        return isinstance(value, Mapping) and all(_has(value.get(name), below) for name, below in constant.items())
    if _is_number(constant) and _is_number(value):
        return bool(constant == value)
    return bool(value == constant and isinstance(value, bool) == isinstance(constant, bool))


def _at(tree: Mapping[str, Any], key: str) -> Any:
    value: Any = tree
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _factor(value: Any, full: Any) -> float | None:
    if isinstance(full, list | tuple):
        high = value[1] if isinstance(value, list | tuple) and len(value) == 2 else None
        return None if high is None or full[1] == 1 else (high - 1) / (full[1] - 1)
    return value / full if _is_number(value) and full else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
