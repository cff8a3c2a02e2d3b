"""Where decoded samples are kept for as long as somebody needs them: a directory of memory that ends with its owner.

Its owner holds a lock on it, which the kernel lets go of however the owner ends. What a killed owner left is therefore known by
the missing lock, and removed by the next one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rayseg.data._room import room_bytes

__all__ = ["KeepingPlace", "keeping_place", "keeping_room", "kept_bytes"]

_SHARED = Path("/dev/shm")  # noqa: S108


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
        yield KeepingPlace(place, room_bytes(base) // 2)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if lock is not None:
            os.close(lock)


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
