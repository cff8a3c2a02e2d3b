"""How much memory a directory may still take: of its file system, of the machine, and of the container."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

__all__ = ["room_bytes"]

_CGROUP = Path("/sys/fs/cgroup")


def room_bytes(directory: Path) -> int:
    """Bytes that can be written into a directory of memory; 0 where there is none.

    Args:
        directory: in ``/dev/shm``, or elsewhere.
    """
    try:
        free = shutil.disk_usage(directory).free
    except OSError:
        return 0
    limits = (free, _of_machine(), _of_container())
    return max(0, min(limit for limit in limits if limit is not None))


def _of_machine() -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else 1024 * int(found[1])


def _of_container() -> int | None:
    """Its limit, without what it uses; pages of files that can be read again are not counted as used."""
    try:
        limit, used, kinds = (
            (_CGROUP / name).read_text(encoding="ascii") for name in ("memory.max", "memory.current", "memory.stat")
        )
    except OSError:
        return None
    again = re.search(r"^inactive_file (\d+)", kinds, re.MULTILINE)
    return None if limit.strip() == "max" else int(limit) - int(used) + (0 if again is None else int(again[1]))
