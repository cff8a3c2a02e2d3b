"""What a config file may do: operators, functions and methods; and what to write instead of the rest."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["BINARY", "COMPARISONS", "FUNCTIONS", "LARGEST", "METHODS", "REMEDIES", "UNARY", "WRITE"]

#: Most elements of what is counted or repeated.
LARGEST = 100_000

#: Operators between two values.
BINARY: Mapping[type, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
        ast.Pow: operator.pow,
        ast.BitOr: operator.or_,
    }
)
#: Operators before a value.
UNARY: Mapping[type, Callable[[Any], Any]] = MappingProxyType(
    {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}
)
#: Comparisons.
COMPARISONS: Mapping[type, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
        ast.Is: operator.is_,
        ast.IsNot: operator.is_not,
        ast.In: lambda item, container: item in container,
        ast.NotIn: lambda item, container: item not in container,
    }
)
#: Functions by name.
FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            abs,
            bool,
            dict,
            enumerate,
            float,
            int,
            len,
            list,
            max,
            min,
            range,
            round,
            set,
            sorted,
            str,
            sum,
            tuple,
            zip,
        )
    }
)
#: Methods by the type that has them.
METHODS: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        dict: frozenset({"copy", "get", "items", "keys", "pop", "setdefault", "update", "values"}),
        list: frozenset({"append", "copy", "extend", "index", "insert", "pop"}),
        str: frozenset({"endswith", "join", "lower", "replace", "split", "startswith", "strip", "upper"}),
    }
)

#: The remedy where there is none of its own.
WRITE = "write its value"
_IMPORTS = (
    "imports, and a config file is read, not run: write the value; a module of your own is named by its import path "
    "(custom_imports in MMSegmentation's words)"
)
#: Statements that are refused, and what to do.
REMEDIES: Mapping[type, str] = MappingProxyType(
    {
        ast.Import: _IMPORTS,
        ast.ImportFrom: _IMPORTS,
        ast.With: "is a block; only read_base is one, at the top of the file; write _base_ = ['FILE.py'], or its value",
        ast.FunctionDef: "defines a function, and a config file is read, not run; write its result",
        ast.ClassDef: "defines a class, and a config file is read, not run; put it into a module and name its import path",
        ast.For: f"is a loop; write a comprehension, or {WRITE}",
        ast.If: f"is a condition; write A if CONDITION else B, or {WRITE}",
    }
)
