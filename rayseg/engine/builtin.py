"""The hooks that a config may name without an import path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rayseg.engine.early_stopping import EarlyStopping
from rayseg.engine.hooks import Hook

__all__ = ["HOOKS"]

#: By name: ``(**own) -> Hook``.
HOOKS: Mapping[str, Callable[..., Hook]] = MappingProxyType({"early_stopping": EarlyStopping})
