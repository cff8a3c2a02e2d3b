"""A fault in a config, and the overrides that many of them are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayseg.errors import ConfigError, RaysegError


@dataclass(frozen=True)
class Wrong:
    """A fault, and what is said about it.

    ``path`` is that of the one problem in a ConfigError; other errors come from the run itself.
    """

    name: str
    overrides: dict[str, Any] | Callable[[Path], dict[str, Any]]
    path: str
    says: tuple[str, ...]
    error: type[RaysegError] = ConfigError


def ce(**own: Any) -> dict[str, Any]:
    return {"losses.ce": {"type": "cross_entropy", **own}}


def loss(name: str, **own: Any) -> dict[str, Any]:
    return {"losses": {"own": {"type": name, **own}}}


def crop(**own: Any) -> dict[str, Any]:
    return {"data.transforms.crop": {"type": "random_crop", "size": [16, 16], **own}}


def joined(**own: Any) -> dict[str, Any]:
    return {"data.dataset": {"type": "concat", "parts": {"own": {"type": "synthetic", **own}}}}
