"""A C++ source, compiled for the instruction set at hand and kept by its content.

The compiled file is named by a digest of the sources, the command and the compiler, and by one of what it holds: half a
library, as a crash of the machine may leave it, would end the process that opens it, so it is passed by. It is put in place
whole by a rename. No lock is held meanwhile: processes that compile the same at once each put the same file there, and one that
is killed leaves a draft that nobody reads. They lie in ``$RAYSEG_KERNELS``, else in ``kernels`` of the cache directory.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from rayseg.cache import cache_directory, write_atomically

__all__ = ["compiled_library", "compiler_command", "instruction_set"]

_log = logging.getLogger(__name__)

_COMPILERS = ("c++", "g++", "clang++")
_COMMON = ("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread", "-fno-math-errno", "-fno-trapping-math", "-w")
_AVX512 = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma", "-DVBYTES=64")
#: What torch says of this CPU -> what a compiler is told.
_FLAGS = {"AVX512": _AVX512, "AVX2": ("-mavx2", "-mfma", "-DVBYTES=32")}
_TIMEOUT_S = 300
_REMEDY = "losses and scores are computed in strips, which is slower; install g++"


def instruction_set() -> str:
    """What torch uses on this CPU, such as ``AVX512``; ``$ATEN_CPU_CAPABILITY`` asks it for less.

    Example:
        >>> instruction_set() in {"AVX512", "AVX512_VNNI", "AVX2", "DEFAULT", "NO AVX", "SVE256"}
        True
    """
    return str(torch.backends.cpu.get_cpu_capability())


def compiler_command(instructions: str | None = None) -> list[str] | None:
    """The compiler and its options for this machine, without files; None where there is no compiler.

    ``$CXX`` is tried first, then ``c++``, ``g++`` and ``clang++``.

    Args:
        instructions: an instruction set; None: that of this machine.

    Example:
        >>> command = compiler_command()
        >>> command is None or "-O3" in command
        True
    """
    flags = _FLAGS.get((instructions or instruction_set()).partition("_")[0], ("-DVBYTES=16",))
    for name in (os.environ.get("CXX"), *_COMPILERS):
        if name and (found := shutil.which(name)):
            return [found, *_COMMON, *flags]
    return None


@functools.cache
def compiled_library(source: Path, *, instead: str = _REMEDY) -> ctypes.CDLL | None:
    """The library of a source, compiled if nobody has done so before; None, told once, where that cannot be.

    Args:
        source: a file; others in its folder may be included by it.
        instead: what happens where it cannot be, and the remedy.

    Example:
        >>> compiled_library(Path("absent/absent.cpp"))
    """
    command = compiler_command()
    if command is None:
        _log.warning("no C++ compiler (looked for $CXX, %s): %s", ", ".join(_COMPILERS), instead)
        return None
    try:
        return _load(source, command)
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        _log.warning("%s cannot be compiled (%s): %s", source.name, told.strip()[:500], instead)
        return None


def _load(source: Path, command: Sequence[str]) -> ctypes.CDLL:
    name = f"{source.stem}-{_digest(source, command)}"
    kept = (path for path in sorted(_directory().glob(f"{name}-*.so")) if path == _path(name, path.read_bytes()))
    path = next(kept, None)
    if path is None:
        began = time.monotonic()
        content = _compiled(source, command)
        path = _path(name, content)
        write_atomically(path, lambda draft: draft.write_bytes(content))
        _log.info("compiled %s for %s in %.1f s: %s", source.name, instruction_set(), time.monotonic() - began, path)
    return ctypes.CDLL(str(path))


def _path(name: str, content: bytes) -> Path:
    return _directory() / f"{name}-{hashlib.blake2b(content, digest_size=8).hexdigest()}.so"


def _directory() -> Path:
    chosen = os.environ.get("RAYSEG_KERNELS")
    return Path(chosen).expanduser() if chosen else cache_directory() / "kernels"


def _digest(source: Path, command: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    version = subprocess.run([command[0], "--version"], capture_output=True, check=True, timeout=_TIMEOUT_S)  # noqa: S603
    for part in (source.name.encode(), "\n".join(command).encode(), version.stdout):
        digest.update(part + b"\0")
    for file in sorted(source.parent.iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _compiled(source: Path, command: Sequence[str]) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, "library.so")
        arguments = [*command, str(source), "-o", str(made)]
        subprocess.run(arguments, capture_output=True, check=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603
        return made.read_bytes()
