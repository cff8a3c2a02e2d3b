"""Files that are made once and read often: written whole or not at all, by any number of processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rayseg.cache import cache_directory, write_atomically

__all__ = ["cache_directory", "cached_json", "content_digest", "file_digest", "write_atomically"]


def cached_json(path: Path, make: Callable[[], Any]) -> Any:
    """The JSON value in ``path``; made and written when it is absent or torn."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        value = make()
        write_atomically(path, lambda draft: draft.write_text(json.dumps(value), encoding="utf-8"))
        return value


def file_digest(path: Path, cache: Path) -> str:
    """Digest of a file's content; remembered in ``cache`` for as long as path, size and time of change stay."""
    stat = path.stat()
    identity = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"
    stamp = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
    return str(cached_json(cache / "stamps" / f"{stamp}.json", lambda: content_digest(path)))


def content_digest(path: Path) -> str:
    """Digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
