"""What checkpoints keep: which of them, and whether a run can go on from them."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import Any

import pytest
import torch

import rayseg.engine.checkpoint as checkpoint_module
from rayseg.build import assemble, torch_settings
from rayseg.config import ExperimentConfig
from rayseg.engine import Fit, LocalReporter, fit, read_checkpoint, read_manifest, write_checkpoint
from rayseg.engine.checkpoint import best_whole, is_whole, newest_whole, step_of, strip_older
from rayseg.errors import CheckpointError, ConfigError
from rayseg.launch.run import prepare_directory
from tests.engine.runs import StopAfter, Stopped, compare, finish, full

SHORT: dict[str, Any] = {"train.steps": 5, "eval.every": 1, "checkpoint.every": None}


def run_in(directory: Path, config: ExperimentConfig, scores: list[float] | None = None, *, after: int | None = None) -> Fit:
    """Train as ``rayseg.train`` does in one process, with scores of our own, until it ends or is stopped."""
    kept = config.checkpoint
    reporter = LocalReporter(directory, keep=kept.keep, best=kept.best, mode=kept.mode, resume_state=kept.optimizer)
    run = assemble(config, reporter).fit
    if scores is not None:
        left = iter(scores)
        run.evaluate = lambda _: {"val/mIoU": next(left)}
    if after is not None:
        run.state.hooks = {"stop": StopAfter(after)}
    try:
        fit(run)
    except Stopped:
        assert after is not None
    return run


def files(directory: Path) -> dict[int, set[str]]:
    """Names of the files of each checkpoint, by step; every one of them is whole."""
    paths = list((directory / "checkpoints").iterdir())
    assert all(is_whole(path) for path in paths)
    return {step_of(path): {file.name for file in path.iterdir()} for path in paths}


WEIGHTS = {"model.pt", "config.yaml", "manifest.json"}
SCORES = [0.1, 0.9, 0.3, math.nan, 0.2]


@pytest.mark.parametrize(
    ("optimizer", "with_state"), [("all", {2, 4, 5}), ("newest", {5}), ("none", set())], ids=["all", "newest", "none"]
)
def test_what_a_run_needs_to_go_on_is_kept_where_the_config_says(tmp_path: Path, optimizer: str, with_state: set[int]) -> None:
    run_in(tmp_path, full(**SHORT, **{"checkpoint.optimizer": optimizer}), SCORES)
    expected = {step: WEIGHTS | ({"train.pt"} if step in with_state else set()) for step in (2, 4, 5)}
    assert files(tmp_path) == expected
    manifests = {step: read_manifest(LocalReporter(tmp_path).staging(step))["files"] for step in (2, 4, 5)}
    assert {step for step, found in manifests.items() if "train.pt" in found} == with_state
    assert LocalReporter(tmp_path).best() == LocalReporter(tmp_path).staging(2)


def test_a_run_goes_on_from_the_newest_to_the_bit(tmp_path: Path) -> None:
    config = full(**{**SHORT, "checkpoint.optimizer": "newest"})
    whole = finish(config, tmp_path / "whole")
    run_in(tmp_path / "stopped", config, after=4)
    assert [step for step, names in files(tmp_path / "stopped").items() if "train.pt" in names] == [3]
    ours = finish(config, tmp_path / "stopped")
    ours.logged, whole.logged = {}, {}
    assert compare(ours, whole) == []


def test_a_run_without_it_is_refused_with_what_to_do(tmp_path: Path) -> None:
    config = full(**{**SHORT, "checkpoint.optimizer": "none"})
    run_in(tmp_path, config, after=3)
    with pytest.raises(CheckpointError, match=r"step_00000002: holds weights only \(checkpoint.optimizer: none\)"):
        run_in(tmp_path, config)


def test_stripping_leaves_whole_checkpoints_of_either_layout_and_what_is_torn_alone(tmp_path: Path) -> None:
    older, newer, ray = (
        write_checkpoint(tmp_path / name, {"train.pt": torch.arange(9), "model.pt": torch.arange(3)}, {}, step=step)
        for name, step in (("checkpoints/step_00000001", 1), ("checkpoints/step_00000002", 2), ("checkpoint_2026", 1))
    )
    torn = tmp_path / "checkpoint_2025"
    torn.mkdir()
    (torn / "manifest.json").write_text("{")
    (tmp_path / "checkpoint_manager_snapshot.json").write_text("{}")
    bytes_of = (older / "train.pt").read_bytes()
    strip_older(tmp_path, 2)
    (older / "train.pt").write_bytes(bytes_of)  # as after a crash between the manifest and the file
    assert all(is_whole(each) for each in (older, newer, ray))
    assert newest_whole(tmp_path) == newer
    strip_older(tmp_path, 2)
    assert [(each / "train.pt").exists() for each in (older, newer, ray)] == [False, True, False]


@pytest.mark.parametrize(("mode", "best"), [("max", 2), ("min", 1)])
def test_the_best_has_a_score_of_its_very_step_that_is_a_number(tmp_path: Path, mode: str, best: int) -> None:
    for step in (1, 2, 3, 4):
        write_checkpoint(tmp_path / f"checkpoint_{step}", {}, {"config.yaml": ""}, step=step)
    history = [(1, {"a": 0.1}), (2, {"a": 0.2}), (3, {"a": math.nan}), (9, {"a": 9.0}), (10, {"b": 9.0})]
    found = best_whole(tmp_path, history, "a", mode)
    assert found == tmp_path / f"checkpoint_{best}"
    assert best_whole(tmp_path, [], "a", mode) == tmp_path / "checkpoint_4"
    assert best_whole(tmp_path / "nothing", history, "a", mode) is None


@pytest.mark.parametrize("deterministic", [True, False])
def test_two_runs_of_one_config_are_equal_to_the_bit_and_of_another_seed_are_not(tmp_path: Path, deterministic: bool) -> None:
    """Without ``deterministic`` too, on a CPU."""
    config = full(**{"train.steps": 3, "train.deterministic": deterministic})
    with torch_settings(config):
        first, second, other = (
            finish(config.with_({"seed": seed}), tmp_path / name) for name, seed in (("1", 0), ("2", 0), ("3", 1))
        )
    assert compare(first, second) == []
    assert first.returned != other.returned


def test_a_run_does_not_go_on_with_its_parts_in_another_order(tmp_path: Path) -> None:
    """The same leaves in another order are another run; moments of the optimizer would go to other parameters."""
    parts: dict[str, dict[str, Any]] = {
        "data.transforms": {"flip": {"type": "random_flip"}, "crop": {"type": "random_crop", "size": [16, 16]}},
        "optim.groups": {"a": {"match": "head", "lr_mult": 10.0}, "b": {"kind": "norm", "lr_mult": 2.0}},
        "schedule.phases": {name: {"type": "linear", "length": 2} for name in ("p", "q")} | {"r": {"type": "poly"}},
    }
    where = {"schedule": {"phases": parts["schedule.phases"]}, "tracking.storage": str(tmp_path), "tracking.name": "run"}
    config = full(**{**parts, **where})
    directory = prepare_directory(config)
    assert prepare_directory(config) == directory
    for path, named in parts.items():
        first, second, *rest = named
        other = config.with_({path: {name: named[name] for name in (second, first, *rest)}})
        with pytest.raises(ConfigError, match=f"{path}: were in the order {first}, {second}.*; put it back to go on"):
            prepare_directory(other)


def test_a_checkpoint_that_holds_more_than_plain_values_says_what(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "step", {"train.pt": {"rates": deque([0.1])}}, {}, step=1)
    with pytest.raises(CheckpointError, match=r"train\.pt: holds more than .* \(collections\.deque\)"):
        read_checkpoint(tmp_path / "step")


def test_only_the_checkpoint_that_is_wanted_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read every file of every checkpoint at each evaluation would stop the training for seconds."""
    for step in (1, 2, 3):
        write_checkpoint(tmp_path / "checkpoints" / f"step_{step:08d}", {"model.pt": {}}, {}, step=step)
    read: list[str] = []
    digest = checkpoint_module._digest

    def told(path: Path) -> str:
        read.append(path.parent.name)
        return digest(path)

    monkeypatch.setattr(checkpoint_module, "_digest", told)
    history = [(step, {"a": -float(step)}) for step in (1, 2, 3)]
    newest, best = newest_whole(tmp_path), best_whole(tmp_path, history, "a", "max")
    assert (newest, best) == (tmp_path / "checkpoints/step_00000003", tmp_path / "checkpoints/step_00000001")
    assert read == ["step_00000003", "step_00000001"]
    reporter = LocalReporter(tmp_path, best="a")
    reporter.report(3, {"a": 0.5}, tmp_path / "checkpoints/step_00000003")
    reporter.stored(tmp_path / "checkpoints/step_00000003")
    assert len(read) == 2


def test_a_torn_newest_checkpoint_is_passed_over_by_both(tmp_path: Path) -> None:
    for step in (1, 2):
        write_checkpoint(tmp_path / "checkpoints" / f"step_{step:08d}", {"model.pt": {}}, {}, step=step)
    (tmp_path / "checkpoints/step_00000002/model.pt").write_bytes(b"torn")
    (tmp_path / "checkpoints/step_00000003").mkdir()
    (tmp_path / "checkpoints/step_00000003/manifest.json").write_text("{")
    history = [(1, {"a": 1.0}), (2, {"a": 2.0}), (3, {"a": 3.0})]
    assert newest_whole(tmp_path) == best_whole(tmp_path, history, "a", "max") == tmp_path / "checkpoints/step_00000001"
