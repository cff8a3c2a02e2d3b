"""Memory that a step on the CPU lets go is kept for the next one.

glibc gives large blocks, and whatever is free at the end of its heap, back to the system. A step lets go all that it has made,
and the next one gets it again as new pages, each of which the kernel fills with zeros first: some 5 % of a step, and more where
no network lies between. So the three numbers that decide about it are set high while a run trains (``mallopt(3)``):

    M_TRIM_THRESHOLD     how much may be free at the end of the heap
    M_MMAP_THRESHOLD     from what size on a block is a mapping of its own, which goes when it is freed
    M_TOP_PAD            how much more is asked for; threads have heaps of 64 MiB, which go when all that is in one is free,
                         unless this is as much

They are those of the process and cannot be read. Before they are set for the first time they slide with what is freed, up to
32 MiB and twice that; there they are put at the end, and what is free is given back. glibc before 2.35 refuses a
``M_MMAP_THRESHOLD`` above that, and any of the three ends the sliding, at 128 KiB if nothing was freed yet: so what is refused
is set to where it could have slid.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["kept_memory"]

_MIB = 2**20
#: Numbers of ``malloc.h`` -> bytes.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEEPING = {_TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * _MIB, _MMAP_THRESHOLD: 1024 * _MIB}
_USUAL = {_TRIM_THRESHOLD: 64 * _MIB, _TOP_PAD: _MIB // 8, _MMAP_THRESHOLD: 32 * _MIB}
#: By which people say it themselves.
_CHOICES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_")


@contextmanager
def kept_memory(device: torch.device, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Around the steps of a run: what one frees on the CPU, the next one has without asking the system for it.

    Nothing is done for another device, by a C library other than glibc, and where the environment says how memory is handed
    out: ``MALLOC_TRIM_THRESHOLD_``, ``MALLOC_TOP_PAD_``, ``MALLOC_MMAP_THRESHOLD_``, ``MALLOC_MMAP_MAX_``, ``GLIBC_TUNABLES``
    of malloc, or another malloc in ``LD_PRELOAD``.

    Args:
        device: of the steps.
        environ: of the process.

    Example:
        >>> with kept_memory(torch.device("cpu")):
        ...     sums = [torch.zeros(1000, 1000).sum().item() for _ in range(3)]
        >>> sums
        [0.0, 0.0, 0.0]
    """
    libc = None if device.type != "cpu" or _is_chosen(environ) else _glibc()
    if libc is None:
        yield
        return
    _set(libc, _KEEPING)
    try:
        yield
    finally:
        _set(libc, _USUAL)
        libc.malloc_trim(0)


def _is_chosen(environ: Mapping[str, str]) -> bool:
    tuned, loaded = environ.get("GLIBC_TUNABLES", ""), environ.get("LD_PRELOAD", "")
    return "glibc.malloc." in tuned or "malloc" in loaded or any(name in environ for name in _CHOICES)


def _glibc() -> Any:
    """The C library of this process, or None where it is another one: their thresholds are not these."""
    if not sys.platform.startswith("linux") or "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None


def _set(libc: Any, thresholds: Mapping[int, int]) -> None:
    for number, size_bytes in thresholds.items():
        if not libc.mallopt(number, size_bytes):
            libc.mallopt(number, _USUAL[number])
