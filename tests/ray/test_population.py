"""A population on a cluster: an exploit copies weights, moments and recipe, and is a run of its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rayseg
from rayseg.config import ExperimentConfig, from_yaml
from rayseg.engine.checkpoint import read_checkpoint, step_of
from rayseg.launch import SweepResult
from rayseg.launch.lineage import lineage_of, read_lineage
from rayseg.launch.perturb import perturbed
from rayseg.launch.winners import Winner, winner_of
from rayseg.space import FlatSpace, log_uniform, uniform
from tests.engine.runs import differences

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]
SPACE: FlatSpace = {"optim.lr": log_uniform(1e-6, 1e-2), "losses.ce.label_smoothing": uniform(0.0, 0.1)}
EVERY, TOTAL, MEMBERS = 2, 6, 3


@pytest.fixture(scope="module")
def base(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> ExperimentConfig:
    begun = {"type": "tests.ray.parts:Begun", "folder": str(tmp_path_factory.mktemp("begun"))}
    lengths = {"train.steps": TOTAL, "eval.every": EVERY, "train.log_every": 1, "schedule.type": "constant"}
    return tiny("bred", **{"hooks.begun": begun, "losses": {"ce": {"type": "cross_entropy"}}, **lengths})


def _run(base: ExperimentConfig) -> SweepResult:
    asked: dict[str, Any] = {"scheduler": "pbt", "perturb_every": EVERY, "num_samples": MEMBERS, "max_concurrent": 2}
    return rayseg.sweep(base, SPACE, metric="val/loss", mode="min", quantile=0.34, resample=0.0, **asked)


@pytest.fixture(scope="module")
def searched(ray_cluster: None, base: ExperimentConfig) -> tuple[SweepResult, Winner]:
    """The search, and what would be registered of it before anybody confirms it."""
    result = _run(base)
    return result, winner_of(result.directory)


@pytest.fixture(scope="module")
def result(searched: tuple[SweepResult, Winner]) -> SweepResult:
    return searched[0]


@pytest.fixture(scope="module")
def exploits(result: SweepResult) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each with the segment of its donor."""
    segments = json.loads((result.directory / "population.json").read_text())
    at = {(each["run"], each["interval"]): each for each in segments}
    return [(each, at[each["donor"], each["interval"] - 1]) for each in segments if each["donor"] is not None]


def test_the_worst_of_each_interval_is_replaced_and_every_slot_comes_to_the_end(result: SweepResult, exploits: Any) -> None:
    segments = json.loads((result.directory / "population.json").read_text())
    for interval in range(TOTAL // EVERY - 1):
        scores = {each["run"]: each["score"] for each in segments if each["interval"] == interval}
        replaced = [each["replaces"] for each, _ in exploits if each["interval"] == interval + 1]
        assert replaced == [max(scores, key=lambda run: scores[run])]
    assert Counter(row["status"] for row in result.table) == {"full": 1 + MEMBERS, "replaced": 2}
    assert [row["rank"] for row in result.table] == [1, 2, 3, 4, None, None]


def test_an_exploit_begins_with_the_weights_and_moments_of_the_donor(
    base: ExperimentConfig, result: SweepResult, exploits: Any
) -> None:
    for each, donor in exploits:
        copied = result.directory / f"bred-{each['run']}" / "checkpoints" / f"step_{each['start']:08d}"
        state = read_checkpoint(copied)
        begun = torch.load(Path(base.hooks["begun"].kwargs["folder"]) / f"bred-{each['run']}-{each['start']}.pt")
        assert differences(begun["model"], state["model"]) == []
        assert differences(begun["optimizer"]["state"], state["optimizer"]["state"]) == []
        left = [read_checkpoint(path) for path in (result.directory / "tune" / donor["trial"]).glob("checkpoint_*")]
        assert len(left) == (donor["interval"] > 0)  # those of older intervals are dropped
        assert all(differences(kept, state) == [] for kept in left)
        assert state["optimizer"]["param_groups"][0]["initial_lr"] == donor["recipe"]["optim.lr"]
        assert begun["optimizer"]["param_groups"][0]["initial_lr"] == each["recipe"]["optim.lr"]


def test_the_recipe_is_the_donors_moved_and_the_optimizer_has_its_rate(result: SweepResult, exploits: Any, mlflow: Any) -> None:
    for each, donor in exploits:
        for key, dimension in SPACE.items():
            near = {perturbed(dimension, donor["recipe"][key], np.random.default_rng(seed), 0.0) for seed in range(20)}
            assert each["recipe"][key] in near
        run_id = (result.directory / f"bred-{each['run']}" / "mlflow_run_id").read_text()
        rates = {point.step: point.value for point in mlflow.get_metric_history(run_id, "train/lr/default")}
        assert rates == dict.fromkeys(range(each["start"] + 1, max(rates) + 1), each["recipe"]["optim.lr"])
        assert float(mlflow.get_run(run_id).data.params["optim.lr"]) == each["recipe"]["optim.lr"]


def test_an_exploit_is_a_run_linked_to_the_one_that_it_replaces_and_to_its_donor(
    result: SweepResult, exploits: Any, mlflow: Any
) -> None:
    ids = {path.parent.name.removeprefix("bred-"): path.read_text() for path in result.directory.glob("bred-*/mlflow_run_id")}
    for each, _ in exploits:
        new, old = (mlflow.get_run(ids[name]) for name in (each["run"], each["replaces"]))
        assert new.data.tags["rayseg.exploited_from"] == ids[each["donor"]]
        assert new.data.tags["rayseg.continues"] == ids[each["replaces"]]
        assert new.data.tags["rayseg.member"] == old.data.tags["rayseg.member"] == str(each["member"])
        assert old.data.tags["rayseg.replaced_by"] == each["run"]
        assert old.data.tags["rayseg.ended"] == "replaced"
        assert (old.info.status, new.info.status) == ("FINISHED", "FINISHED")


def test_the_schedule_of_the_winner_is_told(result: SweepResult) -> None:
    schedule = from_yaml((result.directory / "schedule.yaml").read_text())
    assert schedule == result.schedule
    assert [part["from"] for part in schedule] == [0, *(part["until"] for part in schedule[:-1])]
    assert schedule[-1]["until"] == TOTAL
    assert schedule[-1]["recipe"]["optim.lr"] == result.best_config.optim.lr
    assert result.table[0]["lineage"].endswith(result.best_name)
    assert "lineage" in str(result)


def test_the_schedule_of_the_winner_trains_the_winner_again(result: SweepResult) -> None:
    """In one process, from the two files: every evaluation since the last exploit, to the bit."""
    config = rayseg.load_config(result.directory / "best.yaml", {"tracking.name": "replayed", "tracking.mlflow": None})
    again = rayseg.train(config, schedule=result.directory / "schedule.yaml")
    assert _scores(again.metrics) == _scores(result.best_metrics)


def _scores(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith("val/")}


def test_a_recipe_that_changed_is_confirmed_as_it_changed(result: SweepResult) -> None:
    found = rayseg.confirm(result.directory, top=1, seeds=2, max_seeds=2, max_concurrent=1)
    told = {row["trial"]: len(lineage_of(read_lineage(result.directory), row["trial"])) for row in result.table}
    changed = [each.name for each in found.candidates if told[each.name] > 1]
    assert changed
    for name in changed:
        (path, *_) = sorted((result.directory / "confirm").glob(f"*{name}-seed*"))
        parts = from_yaml((path / "recipes.yaml").read_text())
        assert [part["until"] for part in parts][-1] is None
        assert len(parts) == told[name]


def test_the_checkpoint_to_register_is_that_of_the_winners_end(searched: tuple[SweepResult, Winner]) -> None:
    result, found = searched
    assert (step_of(found.checkpoint), found.run.name) == (TOTAL, f"bred-{result.best_name}")
