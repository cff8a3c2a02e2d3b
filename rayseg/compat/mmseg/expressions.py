"""The Python of config files, evaluated without running Python: literals, ``dict()``, arithmetic, comprehensions.

Nothing is imported, called or read but what stands in the tables here, so a config file can be looked at before it is trusted.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from rayseg.compat.mmseg.allowed import BINARY, COMPARISONS, FUNCTIONS, LARGEST, METHODS, REMEDIES, UNARY, WRITE
from rayseg.compat.mmseg.imports import Imported, Inherited, imported_names
from rayseg.errors import ConfigError, Problem

__all__ = ["Variables", "evaluate"]


class _RefusedError(Exception):
    def __init__(self, node: ast.AST, message: str) -> None:
        self.line = getattr(node, "lineno", 0)
        super().__init__(message)


class Variables(dict[str, Any]):
    """What a config file assigns, by name; ``used`` has the names that its own expressions read."""

    def __init__(self) -> None:
        super().__init__()
        self.used: set[str] = set()


def evaluate(
    code: str, base: Mapping[str, Any], where: str, read_base: Callable[[str], Mapping[str, Any]] | None = None
) -> Variables:
    r"""What the assignments of a config file give.

    Args:
        code: of the file, its ``{{ }}`` replaced.
        base: what ``_base_.name`` stands for.
        where: the file, for errors.
        read_base: module name -> what that base file assigns, for a file in pure-Python style, which alone may import.

    Raises:
        ConfigError: the text is no Python, or does what a config file may not do; with the line and what to write instead.

    Example:
        >>> evaluate("depth = 50\nmodel = dict(depth=depth, rates=[2**n for n in range(3)])", {}, "a.py")
        {'depth': 50, 'model': {'depth': 50, 'rates': [1, 2, 4]}}
    """
    try:
        statements = ast.parse(code).body
    except SyntaxError as error:
        raise _error(where, error.lineno or 0, f"is no Python: {error.msg}") from None
    found = Variables()
    evaluator = _Evaluator(found, {"_base_": base}, found.used, read_base)
    for statement in statements:
        try:
            evaluator.run(statement)
        except _RefusedError as error:
            raise _error(where, error.line, str(error)) from None
        except Exception as error:  # noqa: BLE001 - arithmetic on whatever a person wrote may raise anything
            raise _error(where, statement.lineno, f"{type(error).__name__}: {error}") from None
    return found


def _error(where: str, line: int, message: str) -> ConfigError:
    return ConfigError([Problem("", f"{where}, line {line}: {message}")], "MMSegmentation config")


class _Evaluator:
    """Statements and expressions over names; ``outer`` names may be read, not assigned."""

    def __init__(
        self,
        names: dict[str, Any],
        outer: Mapping[str, Any],
        used: set[str],
        read_base: Callable[[str], Mapping[str, Any]] | None = None,
    ) -> None:
        self.names, self.outer, self.used, self.read_base = names, outer, used, read_base

    def run(self, statement: ast.stmt) -> None:
        """An assignment, the call of a method that changes a value, or a text without effect."""
        match statement:
            case ast.Assign(targets=targets, value=value):
                result = self.value(value)
                for target in targets:
                    self.assign(target, result)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                change = ast.BinOp(ast.Name(name, ast.Load(), lineno=target.lineno), op, value, lineno=statement.lineno)
                self.names[name] = self.value(change)
            case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                pass
            case ast.Expr(value=ast.Call(func=ast.Attribute()) as call):
                self.value(call)
            case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="read_base")))], body=body) if (
                self.read_base
            ):
                for each in body:
                    self.inherit(each, self.read_base)
            case ast.Import() | ast.ImportFrom(level=0) if self.read_base:
                self.names |= imported_names(statement)
            case ast.Expr():
                raise _RefusedError(statement, "a value without a name has no effect; write NAME = ..., or remove it")
            case _:
                raise _RefusedError(statement, REMEDIES.get(type(statement), f"{type(statement).__name__} is code; {WRITE}"))

    def inherit(self, statement: ast.stmt, read_base: Callable[[str], Mapping[str, Any]]) -> None:
        """Names of a base file, imported below ``with read_base()``."""
        if not isinstance(statement, ast.ImportFrom):
            raise _RefusedError(statement, "stands below read_base, where base files are imported: from .FILE import *")
        values = read_base("." * statement.level + (statement.module or ""))
        for alias in statement.names:
            if alias.name != "*" and alias.name not in values:
                raise _RefusedError(statement, f"the base has no {alias.name!r}; it has {', '.join(values)}")
            chosen = values if alias.name == "*" else {alias.asname or alias.name: values[alias.name]}
            self.names |= {name: Inherited.of(value) for name, value in chosen.items()}

    def assign(self, target: ast.expr, value: Any) -> None:
        """To a name, an item, or several of them."""
        match target:
            case ast.Name(id=name):
                self.names[name] = value
            case ast.Subscript(value=container, slice=key):
                self.value(container)[self.value(key)] = value
            case ast.Attribute(value=container, attr=key) if self.read_base and isinstance(self.value(container), dict):
                self.value(container)[key] = value
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                for each, part in zip(targets, value, strict=True):
                    self.assign(each, part)
            case _:
                raise _RefusedError(target, f"assigns to {ast.unparse(target)!r}; assign to a name")

    def value(self, node: ast.expr) -> Any:
        """What an expression is worth."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise _RefusedError(node, f"{ast.unparse(node)[:60]!r} is code; {WRITE}")
        return method(node)

    def _constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, str) and "(_base_." in node.value:
            raise _RefusedError(node, "{{ _base_.NAME }} stands inside a longer text; let it stand alone, without quotes")
        return node.value

    def _name(self, node: ast.Name) -> Any:
        self.used.add(node.id)
        for scope in (self.outer, self.names) if node.id == "_base_" else (self.names, self.outer):
            if node.id in scope:
                return scope[node.id]
        where = f"; a base has it: write _base_.{node.id}" if node.id in self.outer.get("_base_", {}) else ""
        raise _RefusedError(node, f"{node.id!r} has no value here{where or '; assign it above, or write the value'}")

    def _list(self, node: ast.List) -> list[Any]:
        return list(self._items(node.elts))

    def _tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return tuple(self._items(node.elts))

    def _set(self, node: ast.Set) -> set[Any]:
        return set(self._items(node.elts))

    def _items(self, nodes: list[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from self.value(node.value)
            else:
                yield self.value(node)

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            found.update(self.value(value) if key is None else {self.value(key): self.value(value)})
        return found

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        function = BINARY.get(type(node.op))
        counts = [x for x in (left, right) if isinstance(x, int)]
        sized = [len(x) for x in (left, right) if isinstance(x, str | list | tuple)]
        if function is None:
            raise _RefusedError(node, f"{ast.unparse(node)[:60]!r} is no arithmetic of a config; {WRITE}")
        power = isinstance(node.op, ast.Pow) and abs(right) > 64
        if power or (isinstance(node.op, ast.Mult) and sized and counts and sized[0] * counts[0] > LARGEST):
            raise _RefusedError(node, f"{ast.unparse(node)[:60]!r} is too large for a config")
        return function(left, right)

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        if type(node.op) not in UNARY:
            raise _RefusedError(node, f"{ast.unparse(node)[:60]!r} is no arithmetic of a config; {WRITE}")
        return UNARY[type(node.op)](self.value(node.operand))

    def _boolop(self, node: ast.BoolOp) -> Any:
        stops_at = isinstance(node.op, ast.Or)
        result = None
        for part in node.values:
            result = self.value(part)
            if bool(result) is stops_at:
                break
        return result

    def _compare(self, node: ast.Compare) -> bool:
        values = [self.value(each) for each in (node.left, *node.comparators)]
        return all(COMPARISONS[type(op)](*pair) for op, pair in zip(node.ops, pairwise(values), strict=True))

    def _ifexp(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def _subscript(self, node: ast.Subscript) -> Any:
        container = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            bounds = [None if end is None else self.value(end) for end in (node.slice.lower, node.slice.upper, node.slice.step)]
            return container[slice(*bounds)]
        return container[self.value(node.slice)]

    def _attribute(self, node: ast.Attribute) -> Any:
        container = self.value(node.value)
        if isinstance(container, Imported):
            return container.member(node.attr)
        if not isinstance(container, Mapping):
            raise _RefusedError(node, f"{ast.unparse(node)[:60]!r} is code; {WRITE}")
        if node.attr not in container:
            raise _RefusedError(
                node, f"{ast.unparse(node.value)} has no {node.attr!r}; it has {', '.join(map(str, container))}"
            )
        return container[node.attr]

    def _joinedstr(self, node: ast.JoinedStr) -> str:
        return "".join(self.value(part) for part in node.values)

    def _formattedvalue(self, node: ast.FormattedValue) -> str:
        value = self.value(node.value)
        value = repr(value) if node.conversion == ord("r") else value
        return format(value, self.value(node.format_spec) if node.format_spec else "")

    def _call(self, node: ast.Call) -> Any:
        function = self._function(node.func)
        given = list(self._items(node.args))
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            named.update(value if keyword.arg is None else {keyword.arg: value})
        result = function(*given, **named)
        if isinstance(result, range) and len(result) > LARGEST:
            raise _RefusedError(node, f"{ast.unparse(node)[:60]!r} is too large for a config")
        return result

    def _function(self, node: ast.expr) -> Callable[..., Any]:
        """One of the tables' functions, or a method of a plain value."""
        if isinstance(node, ast.Name) and node.id in FUNCTIONS and node.id not in self.names:
            return FUNCTIONS[node.id]
        if isinstance(node, ast.Attribute):
            owner = self.value(node.value)
            if node.attr in METHODS.get(dict if isinstance(owner, Inherited) else type(owner), ()):
                method: Callable[..., Any] = getattr(owner, node.attr)
                return method
        raise _RefusedError(node, f"{ast.unparse(node)[:60]}() is not called: a config file is read, not run; {WRITE}")

    def _listcomp(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> list[Any]:
        return [inner.value(node.elt) for inner in self._rounds(node.generators)]

    _generatorexp = _listcomp

    def _setcomp(self, node: ast.SetComp) -> set[Any]:
        return set(self._listcomp(node))

    def _dictcomp(self, node: ast.DictComp) -> dict[Any, Any]:
        return {inner.value(node.key): inner.value(node.value) for inner in self._rounds(node.generators)}

    def _rounds(self, generators: list[ast.comprehension]) -> Iterator[_Evaluator]:
        first, *rest = generators
        for item in self.value(first.iter):
            inner = _Evaluator({}, {**self.outer, **self.names}, self.used)
            inner.assign(first.target, item)
            if all(inner.value(condition) for condition in first.ifs):
                yield from inner._rounds(rest) if rest else (inner,)
