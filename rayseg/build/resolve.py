"""From a ``type`` and its arguments to a callable that will accept them."""

from __future__ import annotations

import difflib
import importlib
import inspect
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from inspect import Parameter
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from rayseg.config import Spec
from rayseg.errors import ConfigError, Problem

__all__ = ["Problems", "Resolved", "bind", "call_hidden", "nearest", "resolve"]


class Problems:
    """Collects every fault, so that they are shown all at once."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, path: str, message: str) -> None:
        """Note one fault."""
        self.found.append(Problem(path, message))

    def take(self, error: ConfigError, path: str = "") -> None:
        """Note every fault of an error that was caught."""
        self.found += [Problem(_joined(path, problem.path), problem.message) for problem in error.problems]

    def raise_if_any(self) -> None:
        """Raise them together.

        Raises:
            ConfigError: if there is one.
        """
        if self.found:
            raise ConfigError(self.found)


class Resolved(typing.NamedTuple):
    """A callable and the arguments that it was checked to accept."""

    target: Callable[..., Any]
    kwargs: dict[str, Any]

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
    return f" Did you mean '{close[0]}'?" if close else ""


def resolve(
    spec: Spec,
    path: str,
    problems: Problems,
    *,
    table: Mapping[str, Callable[..., Any]],
    components: Mapping[str, Callable[..., Any]],
    given: Collection[str] = (),
    num_positional: int = 0,
) -> Resolved | None:
    """The callable that a spec names, with its own arguments checked against its signature.

    Args:
        spec: what the user wrote.
        path: where, for messages.
        problems: every fault is added here.
        table: built-in names.
        components: names given by value.
        given: keyword arguments that rayseg passes; a user may not write them.
        num_positional: positional arguments that rayseg passes.

    Returns:
        None when a fault was found.
    """
    before = len(problems.found)
    target = _find(spec.type, path, problems, {**table, **components})
    if target is None:
        return None
    kwargs = bind(target, spec.kwargs, path, problems, name=spec.type, given=given, num_positional=num_positional)
    return Resolved(target, kwargs) if len(problems.found) == before else None


def _find(name: str, path: str, problems: Problems, table: Mapping[str, Callable[..., Any]]) -> Callable[..., Any] | None:
    if name in table:
        return table[name]
    module_name, colon, attribute = name.partition(":")
    if not colon:
        known = ", ".join(sorted(table))
        problems.add(
            f"{path}.type",
            f"unknown name {name!r}; known: {known}.{nearest(name, table)} "
            "For your own code give an import path 'package.module:name'",
        )
        return None
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ImportError as error:
        problems.add(f"{path}.type", f"cannot import {module_name!r} ({error}); it must be importable on every worker")
        return None
    except AttributeError:
        names = [each for each in dir(importlib.import_module(module_name)) if not each.startswith("_")]
        problems.add(f"{path}.type", f"{module_name!r} has no {attribute!r}.{nearest(attribute, names)}")
        return None
    if not callable(found):
        problems.add(f"{path}.type", f"{name!r} is {type(found).__name__}, not something that can be called")
        return None
    return typing.cast(Callable[..., Any], found)


def bind(
    target: Callable[..., Any],
    kwargs: Mapping[str, Any],
    path: str,
    problems: Problems,
    *,
    name: str,
    given: Collection[str] = (),
    num_positional: int = 0,
) -> dict[str, Any]:
    """Arguments in the types that the signature asks for; every fault is added to ``problems``."""
    parameters = _own_parameters(target, given, num_positional)
    if parameters is None:
        return dict(kwargs)
    open_ended = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters)
    named = {p.name: p for p in parameters if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)}
    hints = _hints(target)
    bound: dict[str, Any] = {}
    for key, value in kwargs.items():
        if key in given:
            problems.add(f"{path}.{key}", f"rayseg passes {key!r} to {name!r} itself; remove it here")
        elif key in named:
            bound[key] = _converted(value, hints.get(key), f"{path}.{key}", problems)
        elif open_ended:
            bound[key] = value
        else:
            takes = f"it takes {', '.join(named)}." if named else "it takes none."
            problems.add(f"{path}.{key}", f"{name!r} has no parameter {key!r}; {takes}{nearest(key, named)}")
    for key, parameter in named.items():
        if parameter.default is Parameter.empty and key not in kwargs:
            problems.add(path, f"{name!r} needs {key!r}; give {path}.{key}")
    return bound


def call_hidden(target: Callable[..., Any]) -> bool:
    """Whether a callable takes ``**kwargs``, so that mistyped arguments cannot be noticed."""
    parameters = _own_parameters(target, (), 0)
    return parameters is None or any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters)


def _own_parameters(target: Callable[..., Any], given: Collection[str], num_positional: int) -> list[Parameter] | None:
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return None
    positional = [p for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    passed = {p.name for p in positional[:num_positional]}
    return [p for p in parameters if p.name not in passed and p.name not in given]


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError, AttributeError):
        return {}


def _converted(value: Any, hint: Any, path: str, problems: Problems) -> Any:
    if hint is None or hint is Any:
        return value
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except Exception:  # noqa: BLE001 - an annotation that pydantic cannot read is the user's own; the value passes as it is
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        wanted = getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint).replace("typing.", "")
        problems.add(path, f"got {value!r}, expected {wanted} ({error.errors()[0]['msg'].lower()})")
        return value


def _joined(path: str, rest: str) -> str:
    return ".".join(part for part in (path, rest) if part)
