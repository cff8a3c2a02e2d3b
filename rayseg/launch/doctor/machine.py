"""Places on this machine: storage, cache, shared memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from rayseg.data._cache import cache_directory
from rayseg.launch.doctor.finding import Finding

__all__ = ["look_at_cache", "look_at_shared_memory", "look_at_storage"]

_GB = 10**9
_LITTLE_STORAGE_GB = 2.0
_LITTLE_SHARED_GB = 1.0


def look_at_storage(storage: str) -> Finding:
    """Whether runs can be written, and whether there is room; nothing is made."""
    if "://" in storage:
        return Finding("storage", f"{storage}: a URI", "name a directory that every node sees under the same name")
    return _look_at_place("storage", Path(storage), "name another one: tracking.storage, here --storage")


def look_at_cache(environ: Mapping[str, str]) -> Finding:
    """Whether what can be made again (label counts, Arrow files) can be kept."""
    return _look_at_place("cache", cache_directory(environ.get("RAYSEG_CACHE")), "name another one: RAYSEG_CACHE")


def _look_at_place(topic: str, place: Path, otherwise: str) -> Finding:
    path = place.expanduser().absolute()
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir():
        return Finding(topic, f"{path}: {there} is a file", otherwise)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(topic, f"{path}: {there} cannot be written to", f"change its permissions, or {otherwise}")
    free = shutil.disk_usage(there).free / _GB
    told = f"{path}: {free:,.1f} GB free{'' if there == path else ', not there yet'}"
    return Finding(topic, told, f"make room, or {otherwise}" if free < _LITTLE_STORAGE_GB else None)


def look_at_shared_memory(path: Path = Path("/dev/shm")) -> Finding:  # noqa: S108  looked at, not written
    """Room for Ray's object store and the batches of loading processes."""
    if not path.is_dir():
        return Finding("shared memory", f"no {path} on this system")
    size = shutil.disk_usage(path).total / _GB
    told = f"{path}: {size:,.1f} GB"
    if size >= _LITTLE_SHARED_GB:
        return Finding("shared memory", told)
    return Finding("shared memory", told, "give the container more: docker run --shm-size=8g, or an emptyDir of medium Memory")
