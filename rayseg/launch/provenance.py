"""What a sweep was made of, besides its config: code, packages, data. With them it can be repeated to the same table."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rayseg.build import Components, data_digests
from rayseg.config import ExperimentConfig
from rayseg.tracking import StoreLike

__all__ = ["git_state", "package_versions", "record_provenance"]

#: Packages in which what is computed, or chosen, may differ between versions.
_PACKAGES = ("rayseg", "torch", "torchvision", "numpy", "scipy", "pillow", "pyarrow", "ray", "mlflow", "optuna", "timm")
#: Of the changes that a commit lacks.
_MAX_CHANGED = 50


def git_state(directory: Path) -> dict[str, Any] | None:
    """Commit of a work tree and the code that differs from it; None where there is no repository, or no git.

    Files that git does not know count where they are Python: what a run writes is no change of code.

    Example:
        >>> import tempfile
        >>> git_state(Path(tempfile.mkdtemp())) is None
        True
    """
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return None
    lines = (_git(directory, "status", "--porcelain", "--untracked-files=all") or "").splitlines()
    changed = [line[3:] for line in lines if not line.startswith("??") or line.endswith(".py")]
    found = {"commit": commit.strip(), "dirty": bool(changed), "changed": changed[:_MAX_CHANGED]}
    diff = _git(directory, "diff", "HEAD") or ""
    return {**found, "diff": hashlib.blake2b(diff.encode(), digest_size=16).hexdigest()}


def _git(directory: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(directory), *words],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that are installed of those that matter.

    Example:
        >>> {"python", "torch"} <= package_versions().keys()
        True
    """
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def record_provenance(
    config: ExperimentConfig, components: Components, directory: Path, records: StoreLike | None, run_id: str | None
) -> None:
    """Keep ``provenance.json`` in a sweep's directory and on its run: one entry, and one more for each change while it went on.

    Args:
        config: base of the sweep.
        components: name -> callable given by value.
        directory: of the sweep.
        records: where it is recorded, or None.
        run_id: of the sweep, or None.
    """
    path = directory / "provenance.json"
    known: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    git, data = git_state(Path.cwd()), data_digests(config, components)
    now = {"seed": config.seed, "data": data, "git": git, "packages": package_versions(), "components": sorted(components)}
    if known and known[-1] == now:
        return
    text = json.dumps([*known, now], indent=2)
    staged = path.with_name(f".{path.name}")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
    if records is not None and run_id is not None:
        records.log_artifact(run_id, path.name, text.encode())
        commit = {} if git is None else {"rayseg.commit": git["commit"] + (" with changes" if git["dirty"] else "")}
        records.set_tags(run_id, {**commit, **{f"rayseg.data.{split}": digest for split, digest in data.items()}})
