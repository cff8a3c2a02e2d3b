"""TensorBoard's files, and a best checkpoint by the score of one class, under Train and under Tune."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rayseg
from rayseg.config import ExperimentConfig
from rayseg.space import choice

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]

BEST = "val/IoU/side walk & kerb"
OWN = {
    "data.class_names": ["sky", "a b", "side walk & kerb", "road", "car", "pole", "bus", "tree", "sign"],
    "checkpoint": {"best": BEST, "keep": 1},
    "tracking.tensorboard": True,
    "optim.lr": 0.03,
}


def scalars(directory: Path) -> dict[str, list[int]]:
    """The steps of every scalar in TensorBoard's files of a run."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(directory / "tensorboard")).Reload()
    return {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_workers_one_of_whom_is_killed_write_each_step_once_and_keep_the_best_of_a_class(tiny: Tiny, tmp_path: Path) -> None:
    killer = {"type": "tests.ray.parts:KillOnce", "marker": str(tmp_path / "killed"), "after": 5}
    result = rayseg.train(tiny("class", **{**OWN, "scaling.workers": 2, "hooks.killer": killer}))
    assert (tmp_path / "killed").exists()
    shown = scalars(result.directory)
    assert (shown[BEST], shown["val/mIoU"]) == ([3, 6], [3, 6])
    assert shown["train/loss"] == [2, 4, 6]
    scores = {step: metrics[BEST] for step, metrics in result.history}
    assert result.checkpoint is not None
    step = int((result.checkpoint / "manifest.json").read_text().split('"step": ')[1].split(",")[0].split("}")[0])
    assert scores[step] == max(scores.values())


def test_a_search_ranks_by_the_score_of_a_class(tiny: Tiny, mlflow: Any) -> None:
    result = rayseg.sweep(tiny("class-search", **OWN), {"optim.lr": choice([1e-6])}, searcher="grid", scheduler=None)
    assert [row[BEST] for row in result.table] == sorted((row[BEST] for row in result.table), reverse=True)
    assert result.best_metrics[BEST] == result.table[0][BEST]
    for row in result.table:
        assert scalars(Path(row["directory"]))[BEST] == [3, 6]
        assert "val/IoU/side walk _ kerb" in mlflow.get_run(row["run_id"]).data.metrics
