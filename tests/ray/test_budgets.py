"""Budgets that end a search, and larger ones with which it goes on; several objectives; a warm start from the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rayseg
from rayseg.config import ExperimentConfig
from rayseg.launch.budget import Budget
from rayseg.space import Space, log_uniform, ohem

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]
SPACE: Space = {"optim.lr": log_uniform(1e-4, 1e-2), "sampling": ohem(min_kept=0.1)}


def test_trials_out_of_budget_have_scores_and_go_on_with_a_larger_budget(
    tiny: Tiny, mlflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget is spent at the first evaluation; how long that takes is the machine's business."""
    held = {"type": "tests.ray.parts:Held", "file": str(tmp_path / "go on"), "after": 4}
    base = tiny("budget", **{"train.steps": 9, "eval.every": 3, "hooks.held": held})
    directory = Path(base.tracking.storage) / "budget"
    monkeypatch.setattr(Budget, "spent_by", lambda self, _spent: self.seconds == 4 and any(directory.glob("*/metrics.jsonl")))
    asked: dict[str, Any] = {"num_samples": 1, "scheduler": "median", "max_concurrent": 1}
    first = rayseg.sweep(base, SPACE, time_budget="4s", **asked)
    assert first.out_of_budget
    assert [(row["status"], row["step"], row["rank"]) for row in first.table] == [("out of budget", 3, 1)]
    assert "the same call with a larger one goes on" in str(first)
    assert str(rayseg.sweep(base, SPACE, time_budget="4s", **asked)) == str(first)
    (tmp_path / "go on").touch()
    whole = rayseg.sweep(base, SPACE, time_budget="1h", **asked)
    assert not whole.out_of_budget
    assert [(row["status"], row["step"]) for row in whole.table] == [("full", 9), ("full", 9)]
    runs = {row["trial"]: mlflow.get_run(row["run_id"]) for row in whole.table}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert whole.table[0]["run_id"] != whole.table[1]["run_id"]
    assert first.table[0]["run_id"] == runs["baseline"].info.run_id


def test_a_search_for_two_things_marks_its_front_and_is_what_the_next_one_begins_with(tiny: Tiny, mlflow: Any) -> None:
    pytest.importorskip("optuna")
    asked: dict[str, Any] = {"searcher": "optuna", "scheduler": None, "metric": ["val/mIoU", "val/worst_IoU"]}
    found = rayseg.sweep(tiny("two", **{"train.steps": 3}), SPACE, num_samples=2, **asked)
    assert any(row["front"] for row in found.table)
    assert all(
        row["val/worst_IoU"] == min(value for key, value in row.items() if key.startswith("val/IoU/")) for row in found.table
    )
    assert "front" in str(found)
    assert "val/worst_IoU" in str(found)
    warm = rayseg.sweep(tiny("warm", **{"train.steps": 3}), SPACE, num_samples=1, warm_start=str(found.run_id), **asked)
    told = mlflow.get_run(warm.run_id).data.tags["rayseg.warm_start"]
    assert told == f"warm start: 3 of 3 trials of {found.run_id}"  # the baseline is a point of the space, too
