"""Where files that can be made again are kept, and how they are put there by any number of processes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

__all__ = ["cache_directory", "write_atomically"]


def cache_directory(chosen: str | Path | None = None) -> Path:
    """``chosen``, else ``$RAYSEG_CACHE``, else ``~/.cache/rayseg``.

    Example:
        >>> cache_directory("/data/cache")
        PosixPath('/data/cache')
    """
    return Path(chosen or os.environ.get("RAYSEG_CACHE") or "~/.cache/rayseg").expanduser()


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file beside ``path``, then put it in place; of two writers at once the last one wins.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder, "a"), lambda draft: draft.write_text("whole"))
        ...     [each.name for each in Path(folder).iterdir()]
        ['a']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
