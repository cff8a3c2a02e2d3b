"""A space as plain data, as a file has it, and back.

::

    optim.lr: {log_uniform: [1.0e-4, 1.0e-2]}
    losses.*.weight: {simplex: [ce, dice]}
    sampling: {ohem: {thresh: {uniform: [0.5, 0.9]}}}
    schedule: {choice: [{type: cosine}, {type: poly}]}
    schedule.power: {uniform: [0.5, 2], when: {schedule.type: poly}}
    dice is less: {require: losses.dice.weight <= losses.ce.weight}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from rayseg.config import plain
from rayseg.errors import ConfigError, Problem
from rayseg.space.dimensions import (
    Choice,
    IntUniform,
    LogUniform,
    Uniform,
    choice,
    grid,
    int_uniform,
    log_grid,
    log_uniform,
    uniform,
)
from rayseg.space.mixes import Ratio, Simplex, ratio, simplex
from rayseg.space.parts import Part, Space, required
from rayseg.space.rules import Rule, When, require, when
from rayseg.space.words import Strength, class_weight_each, class_weight_rule, ohem, strength

__all__ = ["space_from", "written"]

#: Word -> what makes the part. Those with two or three numbers are written as a list of them.
_NUMBERS: Mapping[str, Callable[..., Part]] = {
    "grid": grid,
    "int_uniform": int_uniform,
    "log_grid": log_grid,
    "log_uniform": log_uniform,
    "uniform": uniform,
}
_NAMED: Mapping[str, Callable[..., Part]] = {
    "class_weight_each": class_weight_each,
    "class_weight_rule": class_weight_rule,
    "ohem": ohem,
    "ratio": ratio,
    "simplex": simplex,
    "strength": strength,
}
_WORDS = ("choice", *_NUMBERS, *_NAMED, "require")


def space_from(tree: Mapping[str, Any], where: str = "search space") -> Space:
    """A space from plain data.

    Args:
        tree: dotted config key -> ``{word: arguments}``; ``when`` may stand beside the word.
        where: what the data are, for the error.

    Raises:
        ConfigError: with every key whose part is none.

    Example:
        >>> from rayseg.space import describe
        >>> print(
        ...     describe(
        ...         space_from({"optim.lr": {"log_uniform": [1e-4, 1e-2]}, "losses.*.weight": {"simplex": ["ce", "dice"]}})
        ...     )
        ... )
        optim.lr         0.0001 to 0.01, log
        losses.*.weight  shares of ce, dice: sum 1
    """
    space: dict[str, Part] = {}
    problems: list[Problem] = []
    for key, value in tree.items():
        try:
            space[key] = _part(value)
        except ConfigError as error:
            problems += [Problem(key, problem.message) for problem in error.problems]
    if problems:
        raise ConfigError(problems, where)
    return space


def written(space: Space) -> dict[str, Any]:
    """A space as plain data; :func:`space_from` is the inverse. A rule that is a function has its name only.

    Args:
        space: what is searched.

    Example:
        >>> written({"optim.lr": uniform(0.1, 0.5), "a": when({"b": 1}, choice([2, 3]))})
        {'optim.lr': {'uniform': [0.1, 0.5]}, 'a': {'choice': [2, 3], 'when': {'b': [1]}}}
    """
    return {key: _written(part) for key, part in space.items()}


def _part(value: Any) -> Part:
    told = f"got {value!r}; expected one of {', '.join(_WORDS)}, such as {{log_uniform: [1e-4, 1e-2]}}"
    required(_is_part(value), told)
    conditions = value.get("when")
    ((word, given),) = ((name, each) for name, each in value.items() if name != "when")
    part = _made(word, given)
    if conditions is None:
        return part
    required(
        isinstance(conditions, dict), f"got when: {conditions!r}; expected keys and values, such as {{schedule.type: poly}}"
    )
    return when(conditions, part)


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and len(value.keys() - {"when"}) == 1 and bool(value.keys() & set(_WORDS))


def _made(word: str, given: Any) -> Part:
    if word == "choice":
        required(isinstance(given, list), f"got choice: {given!r}; expected a list of values")
        return choice([_value(each) for each in given])
    if word == "require":
        required(isinstance(given, str), f"got require: {given!r}; expected a comparison of keys as text")
        return require(given)
    if word in _NUMBERS:
        expected = list(signature(_NUMBERS[word]).parameters)
        count = {2: "two", 3: "three"}[len(expected)]
        fits = isinstance(given, list) and len(given) == len(expected) and _numbers(given)
        required(fits, f"got {word}: {given!r}; expected {count} numbers, [{', '.join(expected)}]")
        return _NUMBERS[word](*given)
    return _called(word, given)


def _called(word: str, given: Any) -> Part:
    """A word with named arguments; a list is the first of them."""
    make, takes = _NAMED[word], list(signature(_NAMED[word]).parameters)
    arguments = {} if given is None else {takes[0]: given} if isinstance(given, list) else given
    known = isinstance(arguments, dict) and arguments.keys() <= set(takes)
    required(known, f"got {word}: {given!r}; it takes {', '.join(takes)}")
    try:
        return make(**{name: _value(each) for name, each in arguments.items()})
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError([Problem("", f"got {word}: {given!r}; {error}")]) from error


def _value(value: Any) -> Any:
    """A value of a choice or an argument, in which parts may stand."""
    if _is_part(value):
        return _part(value)
    return {name: _value(below) for name, below in value.items()} if isinstance(value, dict) else value


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _written(part: Any) -> Any:
    match part:
        case Choice(values=values):
            return {"choice": [_written_value(value) for value in values]}
        case Uniform(low=low, high=high) | LogUniform(low=low, high=high) | IntUniform(low=low, high=high):
            word = {Uniform: "uniform", LogUniform: "log_uniform", IntUniform: "int_uniform"}[type(part)]
            return {word: [low, high]}
        case Simplex(names=names, total=total):
            return {"simplex": {"names": list(names), "total": total}}
        case Ratio(names=names, quotient=quotient, total=total):
            return {"ratio": {"names": list(names), "low": quotient.low, "high": quotient.high, "total": total}}
        case Strength(of=of, by=by):
            return {"strength": {"of": plain(dict(of))[0], "low": by.low, "high": by.high}}
        case When(conditions=conditions, part=inner):
            return {**_written(inner), "when": {key: plain(list(values))[0] for key, values in conditions.items()}}
        case Rule(text=text):
            return {"require": text}
    return str(part)


def _written_value(value: Any) -> Any:
    if isinstance(value, Part):
        return _written(value)
    if isinstance(value, Mapping):
        return {name: _written_value(below) for name, below in value.items()}
    return plain(value)[0]
