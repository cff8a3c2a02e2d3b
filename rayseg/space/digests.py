"""Whether a function is the one that it was: by what it computes with, not by its name."""

from __future__ import annotations

import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from types import CodeType, FunctionType
from typing import Any

__all__ = ["function_digests"]


def function_digests(function: Callable[..., Any]) -> dict[str, str]:
    """Digests of a function by its source and by its bytecode: it is the same if one of the two is.

    Both have the values in it too: defaults, what it closes over, plain globals, and functions of its module that it calls.
    The source is the same under every version of Python; it is not there in an interactive session, and not taken of a lambda,
    whose lines have other things in them. The bytecode is the same wherever the text stands.

    Args:
        function: of Python; of a class its functions, plain attributes and bases that were written beside it; of another
            callable its ``__call__`` and its attributes.

    Example:
        >>> def small(limit):
        ...     return lambda point: point["a"] < limit
        >>> function_digests(small(1)) == function_digests(small(1)), function_digests(small(1)) == function_digests(small(2))
        (True, False)
    """
    facts = list(_facts(function, set()))
    texts = {
        kind: "\0".join(text for own, text in facts if own in {kind, "value"})
        for kind in ("source", "code")
        if kind in {own for own, _ in facts}
    }
    return {kind: hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for kind, text in texts.items()}


def _facts(function: Callable[..., Any], seen: set[int]) -> Iterator[tuple[str, str]]:
    """What a callable is made of: ``source``, ``code`` or ``value``, and the text of it."""
    if id(function) in seen:
        return
    seen.add(id(function))
    if isinstance(function, partial):
        yield "value", _text([function.args, function.keywords])
        yield from _facts(function.func, seen)
    elif isinstance(function, FunctionType):
        yield from _source(function)
        yield "code", _code(function.__code__, function.__doc__)
        yield from _values(function, seen)
    elif isinstance(function, type):
        yield from _members(function, seen)
    else:
        yield "value", f"{type(function).__qualname__} {_text(getattr(function, '__dict__', {}))}"
        inner = inspect.getattr_static(function, "__call__")
        if isinstance(inner, FunctionType):
            yield from _facts(inner, seen)


def _members(kind: type, seen: set[int]) -> Iterator[tuple[str, str]]:
    """What a class is made of."""
    yield "value", " ".join(base.__qualname__ for base in kind.__bases__)
    for name, member in sorted(vars(kind).items()):
        inner = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if isinstance(inner, FunctionType):
            yield "value", name
            yield from _facts(inner, seen)
        elif not name.startswith("__"):
            yield "value", f"{name} {_text(member)}"
    for base in kind.__bases__:
        if base.__module__ == kind.__module__:
            yield from _facts(base, seen)


def _source(function: FunctionType) -> Iterator[tuple[str, str]]:
    """The text of a function; where there is none to be had, its code stands for it."""
    try:
        text = None if function.__name__ == "<lambda>" else textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        text = None
    yield ("value", _code(function.__code__, function.__doc__)) if text is None else ("source", text)


def _code(code: CodeType, told: str | None = None) -> str:
    """Of a function and of those in it; neither lines nor the docstring."""
    inner = [_code(each) if isinstance(each, CodeType) else _text(each) for each in code.co_consts if each != told]
    return repr((code.co_code, inner, code.co_names, code.co_varnames, code.co_freevars))


def _values(function: FunctionType, seen: set[int]) -> Iterator[tuple[str, str]]:
    """Values that a function computes with, and the facts of functions among them that were written beside it."""
    yield "value", _text([function.__defaults__, function.__kwdefaults__])
    try:
        closed = inspect.getclosurevars(function)
    except ValueError:  # of a name that it closes over and that has no value yet
        return
    named = {**closed.nonlocals, **closed.globals}
    for name, value in sorted(named.items()):
        if isinstance(value, FunctionType) and value.__module__ == function.__module__:
            yield from _facts(value, seen)
        else:
            yield "value", f"{name} {_text(value)}"


def _text(value: Any) -> str:
    """Of plain data all; of anything else, whose text may have an address in it, the type."""
    match value:
        case None | bool() | int() | float() | complex() | str() | bytes():
            return repr(value)
        case list() | tuple() | set() | frozenset():
            texts = [_text(each) for each in value]
            return f"{type(value).__name__}({', '.join(sorted(texts) if isinstance(value, (set, frozenset)) else texts)})"
        case dict():
            return f"dict({', '.join(sorted(f'{_text(key)}: {_text(each)}' for key, each in value.items()))})"
    return getattr(value, "__qualname__", None) or type(value).__qualname__
