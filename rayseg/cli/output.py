"""Lines for people: 100 columns, no colour, results on stdout, complaints on stderr."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence

__all__ = ["complain", "fill", "say", "table"]

_COLUMNS = 100


def say(text: str = "") -> None:
    """One line or more of a result.

    Example:
        >>> say("wrote 3 masks")
        wrote 3 masks
    """
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(message: str) -> None:
    """An error's message on stderr."""
    sys.stderr.write(f"rayseg: {fill(message)}\n")


def fill(text: str, hang: int = 4) -> str:
    """Every line of a text broken at 100 columns, what follows a break indented by ``hang`` more than the line.

    Example:
        >>> max(len(line) for line in fill("  optim.lr: " + "too high " * 40).splitlines()) <= 100
        True
    """
    return "\n".join(_broken(line, hang) for line in text.splitlines())


def _broken(line: str, hang: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(
        line.strip(),
        _COLUMNS,
        initial_indent=indent,
        subsequent_indent=indent + " " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(rows: Iterable[Sequence[str]]) -> str:
    """Columns side by side, each as wide as its widest cell.

    Example:
        >>> print(table([["road", "0.91"], ["sky", "0.9"]]))
        road  0.91
        sky   0.9
    """
    lines = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
