"""Early stopping on a cluster: the run is whole, says why, does not go on, and leaves what it should."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rayseg
from rayseg.config import ExperimentConfig
from rayseg.engine.checkpoint import is_whole, step_of
from rayseg.space import choice

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]

SCRIPT: dict[str, Any] = {
    "hooks.early": {"type": "early_stopping", "patience": 2, "check_finite": False},
    "hooks.script": {"type": "tests.ray.parts:Scripted", "scores": [0.1, 0.9, None, 0.5]},
    "train.steps": 8,
    "eval.every": 1,
    "checkpoint.keep": 1,
    "checkpoint.optimizer": "newest",
}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_ends_early_on_all_workers_and_does_not_go_on(tiny: Tiny, mlflow: Any, workers: int) -> None:
    config = tiny(f"stopping-{workers}", **SCRIPT, **{"scaling.workers": workers})
    result = rayseg.train(config)
    assert result.stopped == "val/mIoU did not improve on 0.9 in 2 evaluations"
    assert [step for step, _ in result.history] == [1, 2, 3, 4]
    left = [each.parent for each in result.directory.glob("**/manifest.json")]
    assert all(is_whole(each) for each in left)
    assert {step_of(each): (each / "train.pt").exists() for each in left} == {2: False, 4: True}
    assert result.checkpoint is not None
    assert result.last_checkpoint is not None
    assert (step_of(result.checkpoint), step_of(result.last_checkpoint)) == (2, 4)
    run = mlflow.get_run(result.run_id)
    assert (run.info.status, run.data.tags["rayseg.stopped"]) == ("FINISHED", result.stopped)
    assert "confusion.png" in {each.path for each in mlflow.list_artifacts(result.run_id)}
    again = rayseg.train(config)
    assert (again.history, again.stopped) == (result.history, result.stopped)
    shutil.rmtree(result.directory)


def test_a_trial_that_stops_itself_is_a_whole_one(tiny: Tiny, mlflow: Any) -> None:
    base = tiny("stopping-sweep", **{**SCRIPT, "hooks.early.patience": 6, "tracking.pictures": 0})
    space = {"hooks.early.patience": choice([1])}
    asked: dict[str, Any] = {"searcher": "grid", "scheduler": None, "max_concurrent": 1}
    result = rayseg.sweep(base, space, metric=["val/mIoU", "val/worst_IoU"], **asked)
    found = {row["trial"] == "baseline": (row["status"], row["step"]) for row in result.table}
    assert found == {True: ("full", 8), False: ("stopped itself", 3)}
    assert {row.get("front") for row in result.table} <= {True, False}
    assert {mlflow.get_run(row["run_id"]).info.status for row in result.table} == {"FINISHED"}
    assert all(Path(str(row["directory"])).is_dir() for row in result.table)
