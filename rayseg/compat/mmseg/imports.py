"""Imports of MMEngine's pure-Python style: classes become their names, base files their values; nothing is imported."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Self

__all__ = ["Imported", "Inherited", "imported_names", "is_pure_python", "without_imports"]

#: Packages whose classes MMSegmentation knows by their bare names.
_KNOWN = frozenset({"mmcls", "mmcv", "mmdet", "mmengine", "mmpretrain", "mmseg", "torch"})


class Imported(str):
    """A class or module that is imported, as text: its name, or ``module:name`` for code that MMSegmentation does not know.

    Args:
        path: dotted.

    Example:
        >>> Imported("mmseg.models.PSPHead"), Imported("my_pkg.losses.Topo")
        ('PSPHead', 'my_pkg.losses:Topo')
    """

    __slots__ = ("path",)

    path: str

    def __new__(cls, path: str) -> Self:
        """Text of a dotted path."""
        module, _, name = path.rpartition(".")
        self = super().__new__(cls, name if path.partition(".")[0] in _KNOWN or not module else f"{module}:{name}")
        self.path = path
        return self

    def member(self, name: str) -> Imported:
        """What stands behind a dot."""
        return Imported(f"{self.path}.{name}")


class Inherited(dict[str, Any]):
    """A dict of a base file: ``update`` merges dicts in it, at any depth, as MMEngine's ``ConfigDict`` does.

    Example:
        >>> optimizer = Inherited.of({"optimizer": {"type": "SGD", "lr": 0.01}})
        >>> optimizer.update({"optimizer": {"lr": 0.02}})
        >>> optimizer
        {'optimizer': {'type': 'SGD', 'lr': 0.02}}
    """

    @classmethod
    def of(cls, value: Any) -> Any:
        """A value whose every dict is one of these."""
        if isinstance(value, Mapping):
            return cls({key: cls.of(inner) for key, inner in value.items()})
        return type(value)(map(cls.of, value)) if isinstance(value, list | tuple) else value

    def update(self, *given: Any, **named: Any) -> None:
        """Merge."""
        for key, value in dict(*given, **named).items():
            mine = self.get(key)
            if isinstance(mine, Inherited) and isinstance(value, Mapping):
                mine.update(value)
            else:
                self[key] = Inherited.of(value)


def is_pure_python(code: str) -> bool:
    """Whether a config file is in the pure-Python style: it reads bases by ``read_base``, or imports what is no part of Python.

    Example:
        >>> is_pure_python("from mmseg.models import PSPHead"), is_pure_python("import os"), is_pure_python("_base_ = 'a.py'")
        (True, False, False)
    """
    try:
        statements = ast.parse(code).body
    except SyntaxError:
        return False
    return any(_is_foreign(statement) for statement in statements)


def _is_foreign(statement: ast.stmt) -> bool:
    match statement:
        case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="read_base")))]):
            return True
        case ast.ImportFrom(module=module, level=level):
            return level == 0 and str(module).partition(".")[0] not in sys.stdlib_module_names
        case ast.Import(names=names):
            return any(alias.name.partition(".")[0] not in sys.stdlib_module_names for alias in names)
    return False


def imported_names(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Imported]]:
    """Name in the file and what it stands for.

    Example:
        >>> [*imported_names(ast.parse("from torch.optim import SGD as Plain").body[0])]
        [('Plain', 'SGD')]
    """
    for alias in statement.names:
        if isinstance(statement, ast.ImportFrom):
            yield alias.asname or alias.name, Imported(f"{statement.module}.{alias.name}")
        else:
            whole = alias.name if alias.asname else alias.name.partition(".")[0]
            yield alias.asname or whole, Imported(whole)


def without_imports(names: Mapping[str, Any]) -> dict[str, Any]:
    """What a file assigns, without the imports themselves, as plain values.

    Example:
        >>> without_imports({"PSPHead": Imported("mmseg.models.PSPHead"), "head": {"type": Imported("mmseg.models.PSPHead")}})
        {'head': {'type': 'PSPHead'}}
    """
    return {name: _plain(value) for name, value in names.items() if not isinstance(value, Imported)}


def _plain(value: Any) -> Any:
    if isinstance(value, Imported):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return type(value)(map(_plain, value)) if isinstance(value, list | tuple) else value
