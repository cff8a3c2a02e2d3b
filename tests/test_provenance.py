"""What a sweep was made of."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from rayseg.launch.provenance import git_state, package_versions, record_provenance
from rayseg.testing import tiny_experiment

COMMIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first", "--allow-empty"]


def test_a_file_that_is_not_committed_is_named(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(COMMIT, cwd=tmp_path, check=True)
    clean = git_state(tmp_path)
    assert clean is not None
    assert (len(clean["commit"]), clean["dirty"], clean["changed"]) == (40, False, [])
    (tmp_path / "table.txt").touch()
    assert git_state(tmp_path) == clean  # a run writes, too
    (tmp_path / "loss.py").write_text("POWER = 1\n")
    assert git_state(tmp_path) == {**clean, "dirty": True, "changed": ["loss.py"]}
    subprocess.run(["git", "add", "loss.py"], cwd=tmp_path, check=True)
    once = git_state(tmp_path)
    (tmp_path / "loss.py").write_text("POWER = 2\n")
    subprocess.run(["git", "add", "loss.py"], cwd=tmp_path, check=True)
    twice = git_state(tmp_path)
    assert once is not None
    assert twice is not None
    assert once["diff"] != twice["diff"]
    assert once["changed"] == twice["changed"] == ["loss.py"]


def test_where_git_is_not_installed_there_is_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None


def test_what_has_changed_while_a_sweep_went_on_is_an_entry_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small, larger = tiny_experiment(), tiny_experiment(**{"data.dataset.length": 11})
    for config in (small, small, larger):
        record_provenance(config, {}, tmp_path, None, None)
    first, then = json.loads((tmp_path / "provenance.json").read_text())
    assert first["data"] != then["data"]
    assert (first["seed"], first["git"], first["packages"]) == (0, None, package_versions())
    assert first["packages"]["torch"]
