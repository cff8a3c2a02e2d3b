"""What MLflow accepts: names of a few characters, text of a limited length."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from rayseg.errors import TrackingError

__all__ = ["chunks", "clean_names", "newest_path", "param_text", "picture_path", "short_tags", "shorten", "storable"]

_MAX_TAG_CHARS = 8000
_T = TypeVar("_T")
_FORBIDDEN = re.compile(r"[^/\w.\- ]")


def clean_names(names: Iterable[str]) -> dict[str, str]:
    """MLflow's form of each name: characters that it refuses become ``_``.

    Args:
        names: of metrics or parameters; a class may be called ``road & marking``.

    Raises:
        TrackingError: two names become the same.

    Example:
        >>> clean_names(["val/IoU/road & marking"])
        {'val/IoU/road & marking': 'val/IoU/road _ marking'}
    """
    cleaned: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in names:
        clean = _FORBIDDEN.sub("_", name)
        if clean in taken:
            raise TrackingError(f"{name!r} and {taken[clean]!r} are both {clean!r} in MLflow; rename one of them")
        taken[clean] = name
        cleaned[name] = clean
    return cleaned


def param_text(value: Any) -> str:
    """A config leaf as MLflow keeps it: text as it is, everything else as JSON.

    Example:
        >>> param_text("poly"), param_text(None), param_text(True), param_text([1, 2.5])
        ('poly', 'null', 'true', '[1, 2.5]')
    """
    return value if isinstance(value, str) else json.dumps(value, default=str)


def shorten(text: str, limit: int, where: str) -> str:
    """``text``, or its beginning and where the whole is, in at most ``limit`` characters.

    Example:
        >>> shorten("abcdefghijklmnopqrstuvwxyz", 20, "x.txt")
        'abcd ... (in x.txt)'
    """
    if len(text) <= limit:
        return text
    note = f" ... (in {where})"
    return text[: max(0, limit - len(note) - 1)] + note


def short_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of at most 8000 characters each.

    Example:
        >>> short_tags({"changed": "optim.lr=0.02"})
        {'changed': 'optim.lr=0.02'}
    """
    return {key: shorten(text, _MAX_TAG_CHARS, "config.yaml") for key, text in tags.items()}


def storable(value: float) -> float:
    """The value, or NaN for an infinite one: MLflow keeps infinity as 1.8e308, which ruins the scale of its charts.

    Example:
        >>> storable(0.5), storable(float("-inf"))
        (0.5, nan)
    """
    return float(value) if math.isfinite(value) else math.nan


def chunks(items: Sequence[_T], size: int) -> Iterator[list[_T]]:
    """Consecutive pieces of at most ``size`` items.

    Example:
        >>> list(chunks([1, 2, 3, 4, 5], 2))
        [[1, 2], [3, 4], [5]]
    """
    rest = iter(items)
    while piece := list(islice(rest, size)):
        yield piece


def picture_path(name: str, step: int) -> str:
    """Where a picture is kept, below a run's directory; the same for every run and tracker.

    Example:
        >>> picture_path("val/street 1", 300)
        'pictures/val/street 1/step_000300.png'
    """
    return f"pictures/{_FORBIDDEN.sub('_', name)}/step_{step:06d}.png"


def newest_path(picture: str) -> str:
    """Where the newest picture of a name is kept, given its ``picture_path``.

    Example:
        >>> newest_path("pictures/val/0/step_000300.png")
        'val_0.png'
    """
    return "_".join(picture.split("/")[1:-1]) + ".png"
