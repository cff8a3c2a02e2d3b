"""Budgets that end a search, and larger ones with which it goes on; several objectives; a warm start from the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import rayseg
from rayseg.config import ExperimentConfig
from rayseg.launch.budget import Budget, Spent, read_spent
from rayseg.launch.meter import Meter, limited
from rayseg.launch.summary import has_ended
from rayseg.report import on_front
from rayseg.space import Space, log_uniform, ohem, random_points

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]
SPACE: Space = {"optim.lr": log_uniform(1e-4, 1e-2), "sampling": ohem(min_kept=0.1)}


@dataclass(frozen=True)
class _Trial:
    """What the meter wants of a trial."""

    status: str


def test_time_is_counted_while_trials_run_and_the_search_is_stopped_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops: list[int] = []
    monkeypatch.setattr("signal.raise_signal", stops.append)
    meter = Meter(str(tmp_path))
    with limited(tmp_path, Budget(seconds=4.0), 2.0):
        for now in (10.0, 12.0, 12.5, 15.0):
            monkeypatch.setattr("time.monotonic", lambda now=now: now)
            meter.on_step_end(1, [_Trial("RUNNING"), _Trial("TERMINATED"), _Trial("PENDING")])
    assert read_spent(tmp_path) == Spent(5.0, 10.0, out=True)
    assert len(stops) == 1


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
    written = {path: path.stat().st_mtime_ns for path in directory.glob("budget-*/metrics.jsonl")}
    grown = rayseg.sweep(base, SPACE, time_budget="1h", **{**asked, "num_samples": 2})
    assert has_ended(directory)
    assert {path: path.stat().st_mtime_ns for path in written} == written, "what has ended is not run again"
    assert {row["run_id"] for row in whole.table} < {row["run_id"] for row in grown.table}
    points = [row["point"] for row in grown.table if row["trial"] != "baseline"]
    assert sorted(points, key=repr) == sorted(random_points(SPACE, 2, base.seed), key=repr)
    assert rayseg.load_config(directory / "best.yaml") == grown.best_config


def test_a_search_for_two_things_marks_its_front_and_is_what_the_next_one_begins_with(tiny: Tiny, mlflow: Any) -> None:
    pytest.importorskip("optuna")
    metrics = ["val/mIoU", "val/worst_IoU", "perf/step_s"]
    asked: dict[str, Any] = {"searcher": "optuna", "scheduler": None, "metric": metrics, "baseline": {"optim.lr": 0.005}}
    asked |= {"max_concurrent": 1}  # another process takes longer to start than these trials to run
    began = rayseg.sweep(tiny("two", **{"train.steps": 3}), SPACE, num_samples=1, **asked)
    found = rayseg.sweep(tiny("two", **{"train.steps": 3}), SPACE, num_samples=2, **asked)
    assert len(found.table) == 3, found
    assert {row["run_id"] for row in began.table} < {row["run_id"] for row in found.table}
    assert [row["optim.lr"] for row in found.table if row["trial"] == "baseline"] == [0.005]
    assert len({row["optim.lr"] for row in found.table}) == 3, "a searcher that goes on proposes what was not tried"
    assert all(row["perf/step_s"] > 0 for row in found.table)
    scores = [[row[key] for key in metrics] for row in found.table]
    assert [row["front"] for row in found.table] == on_front(scores, ["max", "max", "min"])
    assert all(
        row["val/worst_IoU"] == min(value for key, value in row.items() if key.startswith("val/IoU/")) for row in found.table
    )
    assert "front" in str(found)
    assert "val/worst_IoU" in str(found)
    warm = rayseg.sweep(
        tiny("warm", **{"train.steps": 3}),
        SPACE,
        num_samples=1,
        warm_start=str(found.run_id),
        **asked | {"metric": metrics[:2]},
    )
    told = mlflow.get_run(warm.run_id).data.tags["rayseg.warm_start"]
    assert told == f"warm start: 3 of 3 trials of {found.run_id}"  # the baseline is a point of the space, too
