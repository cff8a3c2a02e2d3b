"""Checkpoints: written whole or not at all, checked when they are read.

A checkpoint is a directory::

    model.pt         weights for inference (the average, if there is one)
    train.pt         everything a resumed run needs; not in every one (see ``ResumeState``)
    config.yaml      the resolved config (written by whoever knows it)
    manifest.json    format, step, and size and SHA-256 of every other file

``manifest.json`` is written last, so a directory without one is torn. Tensors are read with ``weights_only=True``.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from rayseg.errors import CheckpointError
from rayseg.models.torch_files import what_is_refused

__all__ = [
    "ResumeState",
    "best_whole",
    "is_whole",
    "newest_whole",
    "read_checkpoint",
    "read_manifest",
    "step_of",
    "strip_older",
    "write_checkpoint",
]

FORMAT = 1
#: What torch says where a disk is full: no ``OSError``.
_WRITER = "inline_container"

#: Which checkpoints can be gone on from: ``all``, the ``newest``, or ``none``.
ResumeState = Literal["all", "newest", "none"]


def write_checkpoint(directory: Path, tensors: Mapping[str, Any], texts: Mapping[str, str], *, step: int) -> Path:
    """Write a checkpoint into ``directory``, atomically: after a crash it is there whole, or not at all.

    Args:
        directory: its final name; one that exists is replaced.
        tensors: file name (``model.pt``) -> what ``torch.save`` gets.
        texts: file name (``config.yaml``) -> contents.
        step: optimizer steps done.

    Raises:
        CheckpointError: the storage cannot be written.
    """
    staging = directory.parent / f".{directory.name}.{uuid.uuid4().hex[:8]}"
    try:
        for left in (*directory.parent.glob(".step_*"), *directory.parent.glob(".checkpoint_*")):  # by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        staging.mkdir(parents=True)
        for name, value in tensors.items():
            torch.save(value, staging / name)
        for name, text in texts.items():
            (staging / name).write_text(text, encoding="utf-8")
        write_manifest(staging, step)
        if directory.exists():
            shutil.rmtree(directory)
        staging.replace(directory)
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and _WRITER not in str(error):
            raise
        raise CheckpointError(
            f"{directory}: cannot write a checkpoint ({error}); check space and permissions, or change tracking.storage"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return directory


def write_manifest(directory: Path, step: int) -> None:
    """Seal a directory: from here on, a missing or changed file is noticed."""
    files = {
        path.name: {"size": path.stat().st_size, "sha256": _digest(path)}
        for path in sorted(directory.iterdir())
        if path.name not in {"manifest.json", ".manifest.json"}
    }
    for name in files:
        _flush_to_disk(directory / name)
    _put_manifest(directory, {"format": FORMAT, "step": step, "files": files})


def _put_manifest(directory: Path, manifest: Mapping[str, Any]) -> None:
    staged = directory / ".manifest.json"
    staged.write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    _flush_to_disk(staged)
    staged.replace(directory / "manifest.json")


def read_manifest(directory: Path) -> dict[str, Any]:
    """Manifest of a checkpoint, after checking that every file is as it was written.

    Raises:
        CheckpointError: no checkpoint there, a torn one, or one of a newer format.
    """
    path = directory / "manifest.json"
    if not path.is_file():
        raise CheckpointError(f"{directory}: not a whole checkpoint (no manifest.json); name another one, or start anew")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}: not readable ({error}); name another checkpoint, or start anew") from error
    if manifest.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: format {manifest.get('format')}, expected {FORMAT}; use the version of rayseg that wrote it"
        )
    for name, expected in manifest["files"].items():
        file = directory / name
        if not file.is_file() or file.stat().st_size != expected["size"] or _digest(file) != expected["sha256"]:
            raise CheckpointError(f"{file}: missing or changed since it was written; name another checkpoint, or start anew")
    return manifest


def is_whole(directory: Path) -> bool:
    """Whether a directory holds a checkpoint that can be read."""
    try:
        read_manifest(directory)
    except CheckpointError:
        return False
    return True


def newest_whole(run: Path) -> Path | None:
    """Newest whole checkpoint in a run's directory, whoever wrote it; torn ones are passed over.

    A run in one process keeps ``checkpoints/step_*``, Ray Train keeps ``checkpoint_*``. A run that goes on with another number
    of workers may find either.
    """
    return next((each for each in _newest_first(run) if is_whole(each)), None)


def best_whole(run: Path, history: Sequence[tuple[int, Mapping[str, float]]], metric: str, mode: str) -> Path | None:
    """Whole checkpoint in a run's directory with the best score at its very step; the newest where none has a score.

    Args:
        run: directory of the run.
        history: ``(step, metrics)`` of its evaluations.
        metric: by which the best is chosen.
        mode: ``max`` or ``min``.
    """
    sign = 1.0 if mode == "max" else -1.0
    scores = {step: sign * row[metric] for step, row in history if not math.isnan(row.get(metric, math.nan))}
    scored = [each for each in _newest_first(run) if step_of(each) in scores]
    best_first = sorted(scored, key=lambda each: scores[step_of(each)], reverse=True)
    return next((each for each in best_first if is_whole(each)), None) or newest_whole(run)


def strip_older(run: Path, step: int) -> None:
    """Drop ``train.pt`` of every checkpoint in a run's directory that is older than a whole one of ``step``.

    The manifest is rewritten first, at once; so a crash leaves a whole checkpoint, at worst with a file that nobody looks at.
    Somebody else may be deleting the checkpoint at the same time.
    """
    for directory in _directories(run):
        try:
            manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
            if manifest["step"] >= step:
                continue
            if "train.pt" in manifest["files"]:
                del manifest["files"]["train.pt"]
                _put_manifest(directory, manifest)
            (directory / "train.pt").unlink(missing_ok=True)
        except (FileNotFoundError, json.JSONDecodeError):
            continue


def _newest_first(run: Path) -> list[Path]:
    """Those with a manifest that can be read; whether their files are whole takes reading all of them, so it is asked last."""
    found = [(manifest["step"], each) for each in _directories(run) if (manifest := _manifest(each)) is not None]
    return [each for _, each in sorted(found, key=lambda pair: -pair[0])]


def _manifest(directory: Path) -> dict[str, Any] | None:
    try:
        manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return manifest if "step" in manifest else None


def _directories(run: Path) -> list[Path]:
    """Of both layouts; Ray has files of such names too."""
    return [each for each in (*run.glob("checkpoints/step_*"), *run.glob("checkpoint_*")) if each.is_dir()]


def step_of(directory: Path) -> int:
    """Optimizer steps done at a whole checkpoint."""
    step: int = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))["step"]
    return step


def read_checkpoint(directory: Path, name: str = "train.pt", *, map_location: torch.device | str = "cpu") -> Any:
    """One tensor file of a checkpoint, after checking the whole.

    Raises:
        CheckpointError: see :func:`read_manifest`.
    """
    manifest = read_manifest(directory)
    if name not in manifest["files"]:
        raise CheckpointError(f"{directory}: has no {name}, only {', '.join(manifest['files'])}")
    try:
        return torch.load(directory / name, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        message = f"{directory / name}: holds more than tensors and plain values ({what_is_refused(error)}); start anew"
        raise CheckpointError(message) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
