"""What is computed of a data set, remembered beside it, where the next process and the next machine find it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rayseg.data._cache import write_atomically

__all__ = ["HIDDEN", "remembered"]

#: Folder below the root of a data set.
HIDDEN = ".rayseg"


@runtime_checkable
class _HasRoot(Protocol):
    """A data set that lies in a directory."""

    @property
    def root(self) -> Path: ...


def remembered(dataset: object, name: str, cache_dir: Path, make: Callable[[], Any]) -> Any:
    """A JSON value; made where it is not remembered, and written beside the data, or into the cache where that cannot be.

    Several processes may do so at once: each writes the whole file or nothing, and all write the same.

    Args:
        dataset: whose ``root`` is a directory, if it has one.
        name: relative path of the file, which must change with the content.
        cache_dir: for data sets without a directory, or whose directory cannot be written.
        make: gives the value.
    """
    places = [cache_dir / name]
    if isinstance(dataset, _HasRoot) and dataset.root.is_dir():
        places.insert(0, dataset.root / HIDDEN / name)
    for place in places:
        try:
            return json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    value = make()
    for place in places:
        try:
            write_atomically(place, lambda draft: draft.write_text(json.dumps(value), encoding="utf-8"))
        except OSError:
            continue
        break
    return value
