"""What is wrong with a space by itself, before any config is looked at."""

from __future__ import annotations

from rayseg.errors import ConfigError, Problem
from rayseg.space.enumerated import corners
from rayseg.space.parts import Space
from rayseg.space.rules import Rule, When, provides

__all__ = ["space_problems"]


def space_problems(space: Space) -> list[Problem]:
    """Every fault of a space by itself: plain values, conditions and rules about what is not searched, rules nothing keeps.

    Args:
        space: what is searched.

    Example:
        >>> from rayseg.space import uniform, when
        >>> [problem.path for problem in space_problems({"schedule.power": when({"schedule.type": "poly"}, uniform(1, 2))})]
        ['schedule.power']
    """
    if not any(not isinstance(part, Rule) for part in space.values()):
        return [Problem("", "the search space is empty; give at least one key, such as {'optim.lr': log_uniform(1e-4, 1e-2)}")]
    problems = _no_words(space) or [problem for key in space for problem in _unknown(space, key)]
    if problems:
        return problems
    try:
        list(corners(space))
    except ConfigError as error:
        return list(error.problems)
    return []


def _no_words(space: Space) -> list[Problem]:
    """Plain values: what is the same in every trial stands in the base, and a list does not say what it means."""
    parts = {key: part.part if isinstance(part, When) else part for key, part in space.items()}
    return [
        Problem(key, f"got {part!r}; give what is tried, such as choice([...]) or uniform(low, high), or set it in the base")
        for key, part in parts.items()
        if not isinstance(part, Rule) and not callable(getattr(part, "point", None))
    ]


def _unknown(space: Space, key: str) -> list[Problem]:
    part = space[key]
    needed = list(part.conditions) if isinstance(part, When) else list(part.keys) if isinstance(part, Rule) else []
    searched = [other for other, own in space.items() if other != key and not isinstance(own, Rule)]
    absent = [need for need in needed if not any(provides(other, need) for other in searched)]
    kind = "its condition" if isinstance(part, When) else "the rule"
    told = "{} asks for {!r}, which is not searched; searched are {}"
    return [Problem(key, told.format(kind, need, ", ".join(searched))) for need in absent]
