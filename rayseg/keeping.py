"""Where decoded samples are kept for as long as somebody needs them: a directory of memory that ends with its owner.

A small process waits for the end of the owner and removes what a killed one left. Should that be killed too: the owner holds a
lock on the directory, which the kernel lets go of; what has lost its lock is removed by the next owner. Nothing here needs
tensors, for a process may have nothing else to do than to own such a directory.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["KeepingPlace", "keeping_place", "keeping_room", "kept_bytes", "room_bytes"]

_SHARED = Path("/dev/shm")  # noqa: S108
_CGROUP = Path("/sys/fs/cgroup")
#: Waits for the end of whoever holds the other end of its input. No child of the owner's, since Ray ends those with it.
_WATCHER = (
    "import os, shutil, sys\nif os.fork() == 0:\n    os.setsid()\n    os.read(0, 1)\n    shutil.rmtree(sys.argv[1], True)"
)


@dataclass(frozen=True)
class KeepingPlace:
    """A directory for kept samples; can be pickled.

    Args:
        directory: on this machine.
        reserve_bytes: memory that is left free.

    Example:
        >>> KeepingPlace(Path("/dev/shm/rayseg"), 0).reserve_bytes
        0
    """

    directory: Path
    reserve_bytes: int = 0


def _base(directory: Path | None) -> Path:
    return directory or (_SHARED if os.access(_SHARED, os.W_OK) else Path(tempfile.gettempdir()))


def keeping_room(directory: Path | None = None) -> tuple[Path, int]:
    """Where samples would be kept, and the bytes that they may take there: half of what is free.

    Args:
        directory: None: ``/dev/shm``, or the system's directory of temporary files where that is not there.

    Example:
        >>> where, room = keeping_room()
        >>> where.is_dir(), room >= 0
        (True, True)
    """
    base = _base(directory)
    return base, room_bytes(base) // 2


def kept_bytes(height: int, width: int) -> int:
    """What a sample takes: three bytes of colour and a label for each pixel.

    Example:
        >>> kept_bytes(1024, 2048) / 2**20
        8.0
    """
    return 4 * height * width


@contextmanager
def keeping_place(directory: Path | None = None) -> Iterator[KeepingPlace]:
    """A directory for kept samples, removed on exit; before, what owners left that were killed is removed.

    Who reads or writes in it when it is removed goes on without it.

    Args:
        directory: see :func:`keeping_room`.

    Example:
        >>> with keeping_place() as place:
        ...     place.directory.is_dir()
        True
        >>> place.directory.exists()
        False
    """
    base = _base(directory)
    prefix = f"rayseg-{os.getuid()}-" if hasattr(os, "getuid") else "rayseg-"
    for left in base.glob(f"{prefix}*"):
        _remove_left(left)
    draft = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=base))
    lock = _locked(draft)
    place = draft.rename(base / draft.name[1:])
    try:
        with _watched(place):
            yield KeepingPlace(place, room_bytes(base) // 2)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def _watched(place: Path) -> Iterator[None]:
    """Removed also if this process is killed, as long as its machine lives."""
    if not hasattr(os, "fork"):
        yield
        return
    with subprocess.Popen(  # noqa: S603  our own words
        [sys.executable, "-ISc", _WATCHER, str(place)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ):
        yield


def _locked(place: Path) -> int | None:
    """A descriptor that holds the place; None where somebody else does, or where there are no locks."""
    lock = None
    try:
        import fcntl  # noqa: PLC0415  not everywhere

        lock = os.open(place, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        if lock is not None:
            os.close(lock)
        return None
    return lock


def _remove_left(place: Path) -> None:
    with suppress(OSError):
        lock = _locked(place)
        if lock is not None:
            shutil.rmtree(place, ignore_errors=True)
            os.close(lock)


def room_bytes(directory: Path) -> int:
    """Bytes that can be written into a directory of memory; 0 where there is none.

    Args:
        directory: in ``/dev/shm``, or elsewhere.

    Example:
        >>> room_bytes(Path("/nowhere"))
        0
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
