"""One call at a time works on a search: a second one would train the same trials into the same directories."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rayseg.errors import ConfigError, Problem

__all__ = ["alone"]


@contextmanager
def alone(directory: Path, where: str = "sweep") -> Iterator[None]:
    """Inside, no other process or thread works on the search; a process that dies leaves nothing behind that must be removed.

    Args:
        directory: of the search.
        where: what was called, for the error.

    Raises:
        ConfigError: another one does.

    Example:
        >>> import tempfile
        >>> with alone(Path(tempfile.mkdtemp())):
        ...     pass
    """
    lock, holder = FileLock(directory / ".lock", timeout=0), directory / ".holder"
    try:
        lock.acquire()
    except Timeout as error:
        who = holder.read_text(encoding="utf-8") if holder.is_file() else "another process"
        text = f"{who} works on {directory} now; wait until it has ended, or choose another name"
        raise ConfigError([Problem("tracking.name", text)], where) from error
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
