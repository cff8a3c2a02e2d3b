"""What holds between the keys of a space: a part that is there under a condition only, and rules that every point keeps."""

from __future__ import annotations

import ast
import itertools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rayseg.space.parts import Draw, Part, required

__all__ = ["ABSENT", "Rule", "When", "looked_up", "provides", "require", "when"]

#: What stands under a key that a point does not have.
ABSENT = object()

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_TOLD = "it may have keys, numbers, text, + - * /, comparisons, and, or, not"


@dataclass(frozen=True)
class When:
    """A part that is searched only where other keys have certain values."""

    conditions: Mapping[str, tuple[Any, ...]]
    part: Part

    def holds(self, point: Mapping[str, Any]) -> bool:
        """Whether a point has the values."""
        return all(_among(looked_up(point, key), values) for key, values in self.conditions.items())

    def point(self, key: str, draw: Draw) -> dict[str, Any]:
        """What the part draws."""
        return self.part.point(key, draw)

    def __str__(self) -> str:
        told = [f"{key} is {' or '.join(str(value) for value in values)}" for key, values in self.conditions.items()]
        return f"{self.part}, if {' and '.join(told)}"


@dataclass(frozen=True)
class Rule:
    """What every point of a space keeps."""

    test: Callable[[Mapping[str, Any]], bool]
    text: str
    keys: tuple[str, ...]
    is_function: bool = False

    def point(self, key: str, draw: Draw) -> dict[str, Any]:  # noqa: ARG002
        """Nothing is drawn."""
        return {}

    def __str__(self) -> str:
        return f"required: {self.text}"


def when(conditions: Mapping[str, Any], part: Part) -> When:
    """A part that is searched only where other keys of the space have certain values; elsewhere the base's value stands.

    Args:
        conditions: searched key, or one inside a searched mapping, to the value that it must have, or a list of such values.
        part: what is searched then.

    Raises:
        ConfigError: there is no condition.

    Example:
        >>> from rayseg.space import choice, uniform
        >>> print(when({"schedule.type": "poly"}, uniform(0.5, 2)))
        0.5 to 2, if schedule.type is poly
    """
    required(len(conditions) > 0, "when: got no condition; give one, such as {'schedule.type': 'poly'}")
    values = {key: tuple(value) if isinstance(value, list | tuple) else (value,) for key, value in conditions.items()}
    return When(values, part)


def require(rule: str | Callable[[Mapping[str, Any]], bool]) -> Rule:
    """A rule that every point keeps; its name is the key under which it stands, and is said where nothing keeps it.

    Args:
        rule: a comparison of searched keys as text, such as ``"losses.dice.weight <= 2 * losses.ce.weight"``, or a function of
            the point. A point in which a key of the text is absent, because its condition does not hold, keeps the rule.

    Raises:
        ConfigError: the text is no such comparison.

    Example:
        >>> rule = require("losses.dice.weight <= 2 * losses.ce.weight")
        >>> rule.test({"losses.dice.weight": 3.0, "losses.ce.weight": 1.0}), rule.keys
        (False, ('losses.dice.weight', 'losses.ce.weight'))
    """
    if callable(rule):
        return Rule(rule, getattr(rule, "__name__", "a function of the point"), (), is_function=True)
    tree = _parsed(rule)
    keys = tuple(dict.fromkeys(_keys(tree)))

    def test(point: Mapping[str, Any]) -> bool:
        return any(looked_up(point, key) is ABSENT for key in keys) or bool(_value(tree, point))

    return Rule(test, rule, keys)


def looked_up(point: Mapping[str, Any], key: str) -> Any:
    """What a point says of a key, itself or inside a mapping; ``ABSENT`` where it says nothing.

    Args:
        point: dotted keys and values.
        key: dotted.

    Example:
        >>> looked_up({"sampling": {"type": "ohem"}, "sampling.thresh": 0.7}, "sampling.type")
        'ohem'
    """
    if key in point:
        return point[key]
    head, dot, rest = key.rpartition(".")
    inside: list[str] = []
    while dot:
        inside.insert(0, rest)
        if head in point:
            return _inside(point[head], inside)
        head, dot, rest = head.rpartition(".")
    return ABSENT


def provides(key: str, wanted: str) -> bool:
    """Whether what is searched under a key of a space may say what stands under another key.

    Args:
        key: of a space; may have ``*``.
        wanted: dotted.

    Example:
        >>> provides("sampling", "sampling.type"), provides("losses.*.weight", "losses.ce.weight"), provides("a.b", "a")
        (True, True, False)
    """
    own, other = key.split("."), wanted.split(".")
    return len(own) <= len(other) and all(left in {"*", right} for left, right in zip(own, other, strict=False))


def _inside(value: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return ABSENT
        value = value[name]
    return value


def _among(value: Any, values: tuple[Any, ...]) -> bool:
    return any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in values)


def _parsed(text: str) -> ast.expr:
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError:
        tree = None
    required(isinstance(tree, ast.Compare | ast.BoolOp | ast.UnaryOp), f"require: got {text!r}; expected a comparison: {_TOLD}")
    assert tree is not None
    for node in ast.walk(tree):
        known = isinstance(node, ast.Name | ast.Attribute | ast.Constant | ast.Compare | ast.BoolOp | ast.BinOp | ast.UnaryOp)
        grammar = isinstance(node, ast.expr_context | ast.boolop | ast.Not | ast.USub)
        required(known or grammar or type(node) in (*_COMPARE, *_ARITHMETIC), f"require: cannot read {text!r}; {_TOLD}")
    return tree


def _keys(tree: ast.AST) -> list[str]:
    if isinstance(tree, ast.Name | ast.Attribute):
        return [ast.unparse(tree)]
    return [key for child in ast.iter_child_nodes(tree) for key in _keys(child)]


def _value(node: ast.AST, point: Mapping[str, Any]) -> Any:
    """Of an expression, at a point that has all its keys."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.BoolOp(op=op, values=parts):
            together = all if isinstance(op, ast.And) else any
            return together(_value(part, point) for part in parts)
        case ast.UnaryOp(op=op, operand=part):
            return not _value(part, point) if isinstance(op, ast.Not) else -_value(part, point)
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_value(left, point), _value(right, point))
        case ast.Compare(left=left, ops=ops, comparators=rights):
            values = [_value(each, point) for each in (left, *rights)]
            return all(_COMPARE[type(op)](*pair) for op, pair in zip(ops, itertools.pairwise(values), strict=True))
    return looked_up(point, ast.unparse(node))
