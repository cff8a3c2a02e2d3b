"""From a ``type`` and its arguments to a callable that will accept them."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from types import FunctionType
from typing import Any

from rayseg.config import Spec, typed
from rayseg.errors import ConfigError, Problem, RaysegError

__all__ = [
    "Problems",
    "Resolved",
    "arguments_of",
    "bind",
    "bind_some",
    "call_hidden",
    "caught",
    "find",
    "nearest",
    "takes",
]

_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


class Problems:
    """Collects every fault, each once, so that they are shown all at once."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, path: str, message: str) -> None:
        """Note one fault; what heads inherit is looked at again for each of them and is noted once."""
        problem = Problem(path, message)
        if problem not in self.found:
            self.found.append(problem)

    def has(self, path: str) -> bool:
        """Whether a fault was noted at this very path."""
        return any(problem.path == path for problem in self.found)

    def below(self, path: str) -> bool:
        """Whether a fault was noted at this path or below it."""
        return any(problem.path == path or problem.path.startswith(f"{path}.") for problem in self.found)

    def take(self, error: ConfigError, path: str = "") -> None:
        """Note every fault of an error that was caught; its paths are below ``path``, or already whole."""
        for problem in error.problems:
            whole = problem.path == path or problem.path.startswith(f"{path}.")
            self.add(problem.path if whole else _joined(path, problem.path), problem.message)

    def raise_if_any(self) -> None:
        """Raise them together.

        Raises:
            ConfigError: if there is one.
        """
        if self.found:
            raise ConfigError(self.found)


def caught(path: str, problems: Problems, make: Callable[[], Any]) -> Any:
    """What ``make`` returns, or None with its fault noted under ``path``."""
    try:
        return make()
    except ConfigError as error:
        problems.take(error, path)
    except Exception as error:  # noqa: BLE001 - a user's own code may raise anything, and all faults are shown at once
        problems.add(path, str(error) if isinstance(error, RaysegError) else f"raised {type(error).__name__}: {error}")
    return None


@dataclass(frozen=True)
class Resolved:
    """A callable, the arguments that it was checked to accept, and what the user called it."""

    target: Callable[..., Any]
    kwargs: dict[str, Any]
    name: str

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Call it with its arguments and more."""
        return self.target(*args, **self.kwargs, **more)


def nearest(name: str, names: Iterable[str]) -> str:
    """A sentence that names the closest of ``names``, or nothing.

    Example:
        >>> nearest("smoth", ["smooth", "power"])
        " Did you mean 'smooth'?"
    """
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def find(
    name: str, path: str, problems: Problems, table: Mapping[str, Callable[..., Any]], *, key: str = "type"
) -> Callable[..., Any] | None:
    """The callable of a built-in name, a component's name or an import path.

    Args:
        name: what the user wrote.
        path: of the node that has it, for messages.
        problems: a fault is added here.
        table: built-in names and components.
        key: under which the name is written.

    Returns:
        None when a fault was found.
    """
    if name in table:
        return table[name]
    if ":" not in name:
        known = f"known: {', '.join(sorted(table))}.{nearest(name, table)} " if table else ""
        message = f"unknown name {name!r}; {known}For your own code give an import path 'package.module:name'"
        problems.add(f"{path}.{key}", message)
        return None
    return _imported(name, f"{path}.{key}", problems)


def _imported(name: str, path: str, problems: Problems) -> Callable[..., Any] | None:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 - importing runs a user's code, which may raise anything
        problems.add(path, f"cannot import {module_name!r} ({error}); it must be importable on every worker")
        return None
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = [each for each in dir(found) if not each.startswith("_")]
            problems.add(path, f"{module_name!r} has no {attribute!r}; check the name after the colon.{nearest(part, names)}")
            return None
        found = getattr(found, part)
    if not callable(found):
        message = f"{name!r} is of type {type(found).__name__}, which cannot be called; name a function or a class"
        problems.add(path, message)
        return None
    return typing.cast(Callable[..., Any], found)


def bind(
    target: Callable[..., Any],
    spec: Spec,
    path: str,
    problems: Problems,
    *,
    given: Collection[str] = (),
    num_positional: int = 0,
) -> Resolved | None:
    """A callable with the arguments of a spec, in the types that its signature asks for.

    Args:
        target: what ``spec.type`` names.
        spec: what the user wrote.
        path: where, for messages.
        problems: every fault is added here.
        given: keyword arguments that rayseg passes; a user may not write them.
        num_positional: positional arguments that rayseg passes.

    Returns:
        None when a fault was found.
    """
    before = len(problems.found)
    parameters = _own_parameters(target, given, num_positional)
    named = {p.name: p for p in parameters if p.kind in _NAMED}
    hints = _looked_up(_hints, target)
    bound: dict[str, Any] = {}
    for key, value in spec.kwargs.items():
        if key in given:
            problems.add(f"{path}.{key}", f"rayseg passes {key!r} to {spec.type!r} itself; remove it here")
        elif key in named:
            bound[key] = _converted(value, hints.get(key), f"{path}.{key}", problems)
        elif _open_ended(parameters):
            bound[key] = value
        else:
            list_of_names = f"it takes {', '.join(named)}" if named else "it takes no arguments; remove it"
            problems.add(f"{path}.{key}", f"{spec.type!r} has no parameter {key!r}; {list_of_names}.{nearest(key, named)}")
    for key, parameter in named.items():
        if parameter.default is Parameter.empty and key not in spec.kwargs:
            problems.add(f"{path}.{key}", f"is missing; {spec.type!r} needs it")
    return Resolved(target, bound, spec.type) if len(problems.found) == before else None


def bind_some(target: Callable[..., Any], arguments: Mapping[str, Any], path: str, problems: Problems) -> dict[str, Any]:
    """Some keyword arguments of a callable, in the types that its signature asks for; nothing needs to be complete.

    Example:
        >>> bind_some(lambda *, size: size, {"size": 2}, "model", Problems())
        {'size': 2}
    """
    parameters = _own_parameters(target, (), 0)
    named = {p.name: p for p in parameters if p.kind in _NAMED}
    hints = _looked_up(_hints, target)
    for key in arguments:
        if key not in named and not _open_ended(parameters):
            problems.add(f"{path}.{key}", f"no such argument; there are {', '.join(named)}.{nearest(key, named)}")
    return {key: _converted(value, hints.get(key), f"{path}.{key}", problems) for key, value in arguments.items()}


def arguments_of(target: Callable[..., Any], num_positional: int) -> dict[str, Any]:
    """The arguments that a signature names and their defaults, without the first positional ones.

    Example:
        >>> arguments_of(lambda logits, target, *, ratio=0.5: 0, 2)
        {'ratio': 0.5}
    """
    return {each.name: each.default for each in _own_parameters(target, (), num_positional) if each.kind in _NAMED}


def call_hidden(target: Callable[..., Any]) -> bool:
    """Whether a callable takes ``**kwargs``, so that mistyped arguments cannot be noticed."""
    return _open_ended(_own_parameters(target, (), 0))


def takes(target: Callable[..., Any], name: str) -> bool:
    """Whether the signature names an argument.

    Example:
        >>> takes(lambda logits, *, nll: nll, "nll")
        True
    """
    return name in {parameter.name for parameter in _own_parameters(target, (), 0)}


def _open_ended(parameters: Iterable[Parameter]) -> bool:
    return any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters)


def _own_parameters(target: Callable[..., Any], given: Collection[str], num_positional: int) -> list[Parameter]:
    """Parameters that are the user's to give; anything goes where a callable has no signature."""
    parameters = _looked_up(_signature, target)
    positional = [p for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    passed = {p.name for p in positional[:num_positional]}
    return [p for p in parameters if p.name not in passed and p.name not in given]


def _looked_up(question: Any, target: Callable[..., Any]) -> Any:
    """The answer of a remembered function for what is compared by identity; other things may be equal and differ."""
    by_identity = isinstance(target, type | FunctionType | functools.partial)
    return (question if by_identity else question.__wrapped__)(target)


@functools.lru_cache(maxsize=512)
def _signature(target: Callable[..., Any]) -> tuple[Parameter, ...]:
    try:
        return tuple(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return (Parameter("arguments", Parameter.VAR_KEYWORD),)


@functools.lru_cache(maxsize=512)
def _hints(target: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError, AttributeError):
        return {}


def _converted(value: Any, hint: Any, path: str, problems: Problems) -> Any:
    converted, fault = typed(value, hint)
    if fault is not None:
        problems.add(path, fault)
    return converted


def _joined(path: str, rest: str) -> str:
    return ".".join(part for part in (path, rest) if part)
