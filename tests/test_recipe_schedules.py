"""Runs whose recipe changes over the steps, and what is refused of populations before anything starts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rayseg
from rayseg.config import to_yaml
from rayseg.engine.checkpoint import read_checkpoint
from rayseg.errors import ConfigError
from rayseg.launch import TrainResult
from rayseg.launch.request import SweepRequest, preflight
from rayseg.space import choice, int_uniform, log_uniform, require, simplex, uniform
from rayseg.testing import tiny_experiment
from tests.engine.runs import differences


def _train(folder: Path, name: str, schedule: Any = None) -> TrainResult:
    path = folder / f"{name}.yaml"
    path.write_text(to_yaml(schedule))
    where = {"tracking.storage": str(folder), "tracking.name": name, "tracking.mlflow": None, "tracking.pictures": 0}
    config = tiny_experiment(**{"train.steps": 2, "eval.every": 1, "optim.lr": 0.01, **where})
    return rayseg.train(config, schedule=None if schedule is None else path)


def _weights(result: TrainResult) -> Any:
    assert result.last_checkpoint is not None
    return read_checkpoint(result.last_checkpoint)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return _train(tmp_path_factory.mktemp("whole"), "whole")


def test_a_recipe_in_two_parts_is_the_run_in_one(whole: TrainResult, tmp_path: Path) -> None:
    parts = _train(tmp_path, "parts", [{"from": at, "recipe": {"optim.lr": 0.01}} for at in (0, 1)])
    assert differences(_weights(parts), _weights(whole)) == []
    assert parts.history == whole.history


def test_a_recipe_holds_from_its_step_on_and_the_run_is_that_of_its_schedule(whole: TrainResult, tmp_path: Path) -> None:
    schedule = [
        {"from": 0, "recipe": {"optim.lr": 0.01}},
        {"from": 1, "recipe": {"optim.lr": 0.002, "optim.weight_decay": 0.5}},
    ]
    changed = _train(tmp_path, "changed", schedule)
    (group, *_) = _weights(changed)["optimizer"]["param_groups"]
    assert (group["initial_lr"], group["weight_decay"]) == (0.002, 0.5)
    assert changed.history[0] == whole.history[0]
    schedule[0]["recipe"] = {"optim.lr": 0.02}
    with pytest.raises(ConfigError, match="another schedule of recipes; put it back"):
        _train(tmp_path, "changed", schedule)


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ({"optim.lr": 1}, r"is no schedule of recipes .*give a list"),
        ([{"from": 2, "recipe": {}}], r"begin at steps \[2\]; expected whole numbers from 0"),
        ([{"from": 0, "recipe": {}}, {"from": 3, "recipe": {}}], r"begins at step 3, but checkpoints are taken every 1 of 2"),
        ([{"from": 0, "recipe": {"optim.lrr": 1}}], r"optim.lrr.*lr"),
    ],
)
def test_a_wrong_schedule_is_refused(schedule: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        _train(tmp_path, "wrong", schedule)


SPACE = {"optim.lr": log_uniform(1e-3, 1e-2)}
REQUEST = SweepRequest(
    tiny_experiment(**{"train.steps": 6, "eval.every": 2, "tracking.name": "x"}),
    SPACE, "val/mIoU", "max", 4, "random", "pbt", {}, None, None, {},
)  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {
                "space": {"model.width": int_uniform(4, 8), "losses.*.weight": simplex(["ce", "dice"])},
                "searcher": "optuna",
                "num_samples": 1,
                "quantile": 0.7,
                "resample": 1.5,
                "base": {"eval.at_end": False, "checkpoint.optimizer": "none", "scaling.max_failures": 0},
            },
            [
                r"model.width: cannot change in a running trial.*scheduler 'asha'",
                r"shares of ce, dice.*; a population needs uniform",
                r"searcher: got 'optuna'; a population begins with recipes drawn at random",
                r"num_samples: got 1; it is the size of the population",
                r"quantile: got 0.7; .*at most 0.5",
                r"resample: got 1.5; give a probability",
                r"eval.at_end: false, but members",
                r"checkpoint.optimizer: none, but members",
            ],
        ),
        ({"space": {**SPACE, "rule": require("optim.lr < 1")}}, [r"rule: is required: .*; a population needs uniform"]),
        (
            {"scheduler": "pb2", "resample": 0.1, "space": {"losses.ce.weight": choice([1.0, 2.0])}},
            [r"losses.ce.weight: .*PB2 models numbers", r"resample: has no meaning with 'pb2'"],
        ),
        (
            {"perturb_every": 3, "grace_steps": 6},
            [r"perturb_every: got 3; .*every 2 of 6 steps: give a multiple, such as 4", r"grace_steps: got 6; .*such as 4"],
        ),
        ({"scheduler": "asha", "perturb_every": 2}, [r"perturb_every: has no meaning with scheduler 'asha'"]),
        (
            {"base": {"schedule": {"type": "plateau"}}, "space": {"schedule.factor": uniform(0.1, 0.5)}},
            [r"schedule.factor: .*remembers its scores"],
        ),
        ({"base": {"eval.every": 6}}, [r"eval.every: one evaluation in 6 steps"]),
    ],
)
def test_a_population_that_cannot_be_bred_is_refused(changed: dict[str, Any], told: list[str]) -> None:
    base = REQUEST.base.with_(changed.pop("base", {}))
    with pytest.raises(ConfigError) as error:
        preflight(replace(REQUEST, base=base, **changed))
    assert [text for text in told if not re.search(text, str(error.value))] == []


def test_a_population_that_can_be_bred_has_no_problems() -> None:
    base = REQUEST.base.with_({"losses.dice": {"type": "dice"}})
    mixed = {**REQUEST.space, "losses.ce.label_smoothing": uniform(0.0, 0.1), "losses.dice": choice([None, {"type": "dice"}])}
    preflight(replace(REQUEST, base=base, space=mixed, perturb_every=2, grace_steps=4, quantile=0.5, resample=0.0))
