"""Overrides as they are written on a command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from rayseg.config.text import from_yaml
from rayseg.errors import ConfigError, Problem

__all__ = ["parse_assignments"]


def parse_assignments(words: Iterable[str]) -> dict[str, Any]:
    """Overrides from ``key=value`` words; the values are YAML.

    Args:
        words: such as ``optim.lr=0.1`` or ``losses.dice={type: dice, weight: 3}``; ``null`` removes a term.

    Raises:
        ConfigError: with every word that is no assignment, and every key that is assigned twice.

    Example:
        >>> parse_assignments(["optim.lr=1e-3", "losses.dice={type: dice, weight: 3}", "losses.ce=null"])
        {'optim.lr': 0.001, 'losses.dice': {'type': 'dice', 'weight': 3}, 'losses.ce': None}
    """
    overrides: dict[str, Any] = {}
    problems: list[Problem] = []
    for word in words:
        key, equals, text = (part.strip() for part in word.partition("="))
        complaint = _complaint(key, equals, text, overrides)
        if complaint is None:
            try:
                overrides[key] = from_yaml(text)
            except yaml.YAMLError as error:
                complaint = f"{text!r} is no YAML value: {getattr(error, 'problem', error)}; quote it for the shell"
        if complaint:
            problems.append(Problem(key or word, complaint))
    if problems:
        raise ConfigError(problems, "command line")
    return overrides


def _complaint(key: str, equals: str, text: str, known: dict[str, Any]) -> str | None:
    if not equals or not key:
        return "is no assignment; write key=value, such as optim.lr=0.1"
    if not text:
        return "has no value; write null to remove a term or to unset a value, '' for empty text"
    return "is assigned twice; keep one" if key in known else None
