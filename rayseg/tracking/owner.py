"""Whose run it is: the process that must be alive while a run says RUNNING."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["HOST_TAG", "PID_STARTED_TAG", "PID_TAG", "owner_is_alive", "owner_tags", "source_tags", "user_name"]

HOST_TAG = "rayseg.host"
PID_TAG = "rayseg.pid"
PID_STARTED_TAG = "rayseg.pid_started"


def _started(pid: int) -> str | None:
    """When a process of this machine started, as text that no other process with that number shares; None if there is none."""
    if Path("/proc/self/stat").exists():
        return _started_linux(pid)
    told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return told.stdout.strip() or None


def _started_linux(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold spaces; state is the first field after it
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def owner_tags(pid: int | None = None) -> dict[str, str]:
    """Tags that name a process of this machine for ever: host, number, start time.

    Args:
        pid: number of the process; None is the calling one.

    Example:
        >>> sorted(owner_tags())
        ['rayseg.host', 'rayseg.pid', 'rayseg.pid_started']
    """
    number = os.getpid() if pid is None else pid
    return {HOST_TAG: socket.gethostname(), PID_TAG: str(number), PID_STARTED_TAG: _started(number) or "unknown"}


def source_tags(words: Sequence[str] | None = None) -> dict[str, str]:
    """What MLflow shows as the source of a run: the script, or the command of rayseg; its arguments may be nobody's business.

    Args:
        words: of the command line; None: those of this process.

    Example:
        >>> source_tags(["/usr/bin/rayseg", "sweep", "streets.yaml"])["mlflow.source.name"]
        'rayseg sweep'
        >>> source_tags(["/home/me/experiments/ohem_sweep.py", "--smoke"])["mlflow.source.name"]
        'ohem_sweep.py'
    """
    called = list(sys.argv if words is None else words) or [""]
    script = Path(called[0])
    ours = script.name == "rayseg" or script.parts[-3:-1] == ("rayseg", "cli")
    own = script.parent.name if script.name == "__main__.py" else script.name
    name = " ".join(["rayseg", *called[1:2]]) if ours else own or "python"
    return {"mlflow.source.name": name, "mlflow.source.type": "LOCAL"}


def owner_is_alive(tags: Mapping[str, str]) -> bool:
    """Whether the process that the tags name may still be at work.

    A process of another machine cannot be seen from here and counts as alive; so does a run without an owner. A process
    that has the number but started at another time is not the owner.

    Example:
        >>> owner_is_alive(owner_tags())
        True
        >>> owner_is_alive(owner_tags() | {"rayseg.pid_started": "long ago"})
        False
    """
    if PID_TAG not in tags or tags.get(HOST_TAG) != socket.gethostname():
        return True
    return _started(int(tags[PID_TAG])) == tags.get(PID_STARTED_TAG)


def user_name() -> str:
    """Who runs this process; ``unknown`` in a container whose user has no name.

    Example:
        >>> bool(user_name())
        True
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
