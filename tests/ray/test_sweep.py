"""A sweep whose trials have one worker each: what runs, what fails, what is kept."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import ray
import rayseg
from rayseg.config import ExperimentConfig
from rayseg.engine.checkpoint import step_of
from rayseg.errors import ConfigError
from rayseg.launch import SweepResult
from rayseg.space import Space, choice, log_uniform, uniform
from tests.ray.parts import BEST, NAMES, scalars, troubled
from tests.tracking.test_shared_view import state_of

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]
#: Columns of a table that are of one trial in one place.
UNLIKE = ("trial", "perf/", "directory", "run_id")
SPACE = {"losses.ce.trouble": choice(["none", "worse", "nan", "killed", "memory"]), "optim.lr": choice([1e-2])}


@pytest.fixture(scope="module")
def base(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> ExperimentConfig:
    marks = {"type": "tests.ray.parts:Marks", "folder": str(tmp_path_factory.mktemp("marks"))}
    overrides = {"losses": {"ce": {"type": "troubled", "trouble": "none"}}, "hooks.marks": marks, "scaling.max_failures": 0}
    return tiny("sweep", **overrides, **{"train.log_every": 1, "checkpoint.optimizer": "newest"})


def _run(base: ExperimentConfig, space: Any = None, **more: Any) -> SweepResult:
    components = {"troubled": troubled(os.getpid())}
    asked: dict[str, Any] = {"metric": "val/loss", "mode": "min", "searcher": "grid", "max_concurrent": 1, "grace_steps": 3}
    return rayseg.sweep(base, space or SPACE, components=components, **asked | more)


@pytest.fixture(scope="module")
def result(ray_cluster: None, base: ExperimentConfig) -> SweepResult:
    return _run(base)


def _children(mlflow: Any, result: SweepResult) -> dict[str, Any]:
    (experiment,) = {mlflow.get_run(result.run_id).info.experiment_id}
    runs = mlflow.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{result.run_id}'")
    return {run.info.run_name.removeprefix("sweep-"): run for run in runs}


def test_every_trial_is_in_the_table_and_ranked(result: SweepResult) -> None:
    assert Counter(row["status"] for row in result.table) == {"full": 2, "stopped early": 1, "failed": 3}
    scores = [row["val/loss"] for row in result.table if row["rank"] is not None]
    assert scores == sorted(scores)
    assert [row["rank"] for row in result.table] == [1, 2, 3, None, None, None]
    faults = {row["losses.ce.trouble"]: row["fault"] for row in result.table if row["status"] == "failed"}
    assert faults.keys() == {"nan", "killed", "memory"}
    assert faults["nan"].startswith("NonFiniteLossError: ")
    assert "CUDA out of memory" in faults["memory"]
    assert pq.read_table(result.directory / "table.parquet").num_rows == 6
    assert "stopped early" in (result.directory / "table.txt").read_text()


def test_the_report_is_on_the_run_with_pictures_of_baseline_and_best(result: SweepResult, mlflow: Any) -> None:
    page = (result.directory / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 2 * (1 + 3)
    assert all(row["trial"] in page for row in result.table)
    assert "report.html" in {each.path for each in mlflow.list_artifacts(result.run_id)}


def test_mlflow_shows_the_trials_side_by_side_and_what_is_on_an_axis_is_there(result: SweepResult, mlflow: Any) -> None:
    parent = mlflow.get_run(result.run_id)
    kept = mlflow.get_experiment(parent.info.experiment_id).tags[f"mlflow.sharedViewState.{result.run_id}"]
    state = state_of(kept)
    found = mlflow.search_runs([parent.info.experiment_id], state["searchFilter"])
    assert {run.info.run_id for run in found} == {row["run_id"] for row in result.table}
    parallel, *bars = [chart for chart in state["compareRunCharts"] if chart["type"] != "LINE"]
    assert parallel["selectedParams"] == ["Searched/trouble", "Searched/lr"]
    scored = [run for run in found if run.info.status == "FINISHED"]
    assert all({*parallel["selectedParams"]} <= run.data.params.keys() for run in scored if "baseline" not in run.info.run_name)
    classes = {name for name in scored[0].data.metrics if name.startswith("val/IoU/")}
    assert {bar["metricKey"] for bar in bars} == {"val/loss", *classes}
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("**Not confirmed.")
    page = f"#/experiments/{parent.info.experiment_id}/runs?viewStateShareKey={result.run_id}&"
    assert f"[trials side by side]({page}" in note
    assert page.replace("&", "&amp;") in (result.directory / "report.html").read_text(encoding="utf-8")


def test_every_child_run_is_closed_as_what_it_was(result: SweepResult, mlflow: Any) -> None:
    children = _children(mlflow, result)
    wanted = {"full": "FINISHED", "stopped early": "FINISHED", "failed": "FAILED"}
    assert len(children) == len(result.table)
    for row in result.table:
        assert children[row["trial"]].info.status == wanted[row["status"]]
        assert children[row["trial"]].data.tags["rayseg.ended"] == row["status"]
    assert mlflow.get_run(result.run_id).info.status == "FINISHED"
    assert [name for name, run in children.items() if run.data.tags["rayseg.baseline"] == "true"] == ["baseline"]
    for row in result.table:
        assert float(children[row["trial"]].data.params["optim.lr"]) == row["optim.lr"]


def test_the_values_that_were_sampled_are_those_that_were_built(result: SweepResult, mlflow: Any) -> None:
    records = {path.parent.name: json.loads(path.read_text()) for path in (result.directory / "tune").glob("*/params.json")}
    chosen = {trial: record["point"] for trial, record in records.items() if not record["point"].get("baseline")}
    built = {row["trial"]: Path(row["directory"]) / "applied.json" for row in result.table if row["trial"] != "baseline"}
    assert len(chosen) == 5
    for trial, point in chosen.items():
        assert json.loads(built[trial].read_text()) | {"trial": trial} == point
    runs = {row["trial"]: row["run_id"] for row in result.table}
    assert "applied.json" in {each.path for each in mlflow.list_artifacts(runs[next(iter(chosen))])}


def test_a_trial_keeps_the_checkpoints_that_the_base_asks_for(result: SweepResult) -> None:
    trials = [sorted(path.glob("checkpoint_*/manifest.json")) for path in (result.directory / "tune").glob("*/")]
    kept = [{step_of(each.parent): (each.parent / "train.pt").exists() for each in trial} for trial in trials]
    assert sorted(kept, key=len)[-3:] == [{3: True}, {3: False, 6: True}, {3: False, 6: True}]  # one is stopped at step 3


def test_the_process_of_a_trial_is_used_again(result: SweepResult, base: ExperimentConfig) -> None:
    marks = sorted(Path(base.hooks["marks"].kwargs["folder"]).iterdir(), key=lambda path: int(path.name.split("-")[1]))
    processes = [path.name.split("-")[0] for path in marks]
    assert len(processes) == 6
    assert len(set(processes[:5])) == 1  # the fifth was killed


def test_the_use_of_the_cluster_is_told_in_table_report_and_store(result: SweepResult, mlflow: Any) -> None:
    use = result.use
    assert use is not None
    assert (use.trials, use.places) == (5, 1)  # the loop of the one that was killed has no end
    assert use.between_s is not None
    assert 0 < use.busy < 1
    room = use.seconds * use.places
    assert use.busy * room + 1 * use.first_s + 4 * use.between_s + use.waiting * room == pytest.approx(room)
    assert str(use) in (result.directory / "table.txt").read_text()
    assert "places training" in (result.directory / "report.html").read_text(encoding="utf-8")
    assert mlflow.get_run(result.run_id).data.metrics["sweep/busy"] == use.busy


def test_the_best_recipe_runs_as_it_is(result: SweepResult) -> None:
    config = rayseg.load_config(result.directory / "best.yaml")
    assert config == result.best_config
    again = rayseg.train(config.with_({"tracking.name": "best"}), components={"troubled": troubled(os.getpid())})
    assert again.metrics["val/loss"] == pytest.approx(result.best_metrics["val/loss"], rel=1e-5)


def test_a_sweep_that_has_ended_returns_its_table(
    result: SweepResult, base: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rayseg.launch.searching.connect", lambda: pytest.fail("Ray was asked"))
    (result.directory / "report.html").unlink()
    again = _run(base)
    assert (result.directory / "report.html").is_file()
    assert (again.table, again.best_config, str(again)) == (result.table, result.best_config, str(result))


def test_another_space_under_the_same_name_is_refused(result: SweepResult, base: ExperimentConfig) -> None:
    with pytest.raises(
        ConfigError, match=r"losses.ce.trouble: .* holds a sweep that has one of none, worse, .*; put it back to go on"
    ):
        _run(base, {"optim.lr": choice([1e-2, 1e-3])})


def test_nothing_is_left(result: SweepResult) -> None:
    assert not [each for each in ray.util.placement_group_table().values() if each["state"] == "CREATED"]


def test_optuna_searches_after_the_baseline_for_the_score_of_a_class(tiny: Tiny, mlflow: Any) -> None:
    pytest.importorskip("optuna")
    space: Space = {"optim.lr": log_uniform(1e-4, 1e-2), "losses.ce": choice([{"type": "cross_entropy"}, {"type": "dice"}])}
    has_tensorboard = find_spec("tensorboard") is not None
    more = {
        "data.class_names": NAMES,
        "checkpoint.best": BEST,
        "train.steps": 3,
        "tracking.tensorboard": has_tensorboard,
        "tracking.pictures": 0,
    }
    base = tiny("optuna", **{"losses": {"ce": {"type": "cross_entropy"}}, **more})
    found = rayseg.sweep(
        base, space, searcher="optuna", num_samples=2, scheduler=None, max_concurrent=1, baseline={"optim.lr": 0.005}
    )
    assert Counter(row["status"] for row in found.table) == {"full": 3}
    (first,) = [row for row in found.table if row["trial"] == "baseline"]
    assert first["optim.lr"] == 0.005
    assert len({row["optim.lr"] for row in found.table}) == 3
    assert [row[BEST] for row in found.table] == sorted((row[BEST] for row in found.table), reverse=True)
    assert found.best_metrics[BEST] == found.table[0][BEST]
    for row in found.table:
        assert "val/IoU/side walk _ kerb" in mlflow.get_run(row["run_id"]).data.metrics
        assert not has_tensorboard or scalars(Path(row["directory"]))[BEST] == [3]


def test_a_sweep_that_is_repeated_gives_the_same_table_whatever_its_processes_did_before(tiny: Tiny, tmp_path: Path) -> None:
    """Once with a new process for every trial, once with one that each trial leaves in disorder for the next: bit for bit."""
    space: Space = {
        "optim.lr": log_uniform(1e-4, 1e-2),
        "losses.ce.label_smoothing": uniform(0.0, 0.2),
        "train.kernels": choice(["plain", "strips", "fused"]),
    }

    messy = {"type": "tests.ray.parts:Messy", "folder": str(tmp_path)}

    def run(name: str, at_a_time: int) -> tuple[list[dict[str, Any]], set[str], set[str]]:
        before = set(tmp_path.iterdir())
        base = tiny(name, **{"tracking.mlflow": None, "tracking.pictures": 0, "seed": 3, "hooks.messy": messy})
        found = rayseg.sweep(base, space, num_samples=1, scheduler=None, max_concurrent=at_a_time)
        kept = [{key: value for key, value in row.items() if not key.startswith(UNLIKE)} for row in found.table]
        manifests = found.directory.glob("tune/*/checkpoint_*/manifest.json")
        weights = {json.loads(path.read_text())["files"]["model.pt"]["sha256"] for path in manifests}
        starts = set(tmp_path.iterdir()) - before
        assert len(starts) == 2
        assert len({path.read_text() for path in starts}) == 1
        return kept, weights, {path.name.split("-")[0] for path in starts}

    (first, weights, processes), (again, same_weights, one) = run("first", 2), run("again", 1)
    assert (len(processes), len(one)) == (2, 1)
    assert first == again
    assert weights == same_weights
    assert len(weights) == 4
    assert len({row["val/loss"] for row in first}) == 2
    made, remade = (json.loads((storage_of(tiny, name) / "provenance.json").read_text()) for name in ("first", "again"))
    assert made == remade
    assert made[0]["seed"] == 3


def storage_of(tiny: Tiny, name: str) -> Path:
    return Path(tiny(name).tracking.storage) / name


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"sampling.min_kept": uniform(0.1, 3.5)}, r"sampling.*min_kept=3.5"),
        ({"optim.lrr": choice([1, 2])}, r"optim.lrr.*lr"),
        ({"losses.ce.class_weight.clip": choice([-1.0, 2.0])}, r"clip=-1.0"),
        ({"train.steps": choice([3, 6])}, r"train.steps: cannot be searched"),
        ({"eval.every": choice([3, 6])}, r"eval.every: cannot be searched"),
        ({"train": choice([{"steps": 3}])}, r"train: cannot be searched"),
        ({"scaling.workers": choice([0, 2])}, r"scaling.workers: cannot be searched"),
        ({}, r"empty"),
    ],
)
def test_a_bad_space_is_refused_before_ray_is_asked(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, space: Any, told: str) -> None:
    monkeypatch.setattr("rayseg.launch.searching.connect", lambda: pytest.fail("Ray was asked"))
    losses = {"ce": {"type": "cross_entropy", "class_weight": {"type": "median_frequency", "clip": 4.0}}}
    base = tiny("bad", losses=losses, sampling={"type": "ohem", "thresh": 0.7, "min_kept": 0.2})
    with pytest.raises(ConfigError, match=told):
        rayseg.sweep(base, space)


def test_optuna_that_is_not_installed_is_said(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install 'rayseg\[optuna\]'"):
        rayseg.sweep(tiny("none"), {"optim.lr": choice([1e-3])}, searcher="optuna")
