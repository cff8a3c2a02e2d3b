"""A population whose members have two workers each, with a choice that is measured on the cluster before all of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import rayseg
from rayseg.config import ExperimentConfig, flatten, from_yaml
from rayseg.engine.checkpoint import newest_whole, read_checkpoint, step_of
from rayseg.launch import SweepResult
from rayseg.launch.groups import groups_of_this_job
from rayseg.space import log_uniform
from tests.engine.runs import differences

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]
MEASURED = "train.speed.memory_format"


@pytest.fixture(scope="module")
def base(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> ExperimentConfig:
    begun = {"type": "tests.ray.parts:Begun", "folder": str(tmp_path_factory.mktemp("begun"))}
    lengths = {"train.steps": 4, "eval.every": 2, "schedule.type": "constant", "tracking.pictures": 0}
    own = {"scaling.workers": 2, "scaling.cpus_per_worker": 1, MEASURED: "auto", "tracking.mlflow": None}
    return tiny("bred-groups", **{"hooks.begun": begun, **lengths, **own})


@pytest.fixture(scope="module")
def result(ray_cluster: None, base: ExperimentConfig) -> SweepResult:
    asked: dict[str, Any] = {"scheduler": "pbt", "perturb_every": 2, "num_samples": 2, "max_concurrent": 2}
    space = {"optim.lr": log_uniform(1e-6, 1e-2)}
    return rayseg.sweep(base, space, metric="val/loss", mode="min", quantile=0.5, resample=0.0, **asked)


def test_an_exploit_begins_with_the_donors_weights_and_moments_on_workers_of_its_own(
    base: ExperimentConfig, result: SweepResult
) -> None:
    segments = json.loads((result.directory / "population.json").read_text())
    (exploit,) = [each for each in segments if each["donor"] is not None]
    assert Counter(row["status"] for row in result.table) == {"full": 3, "replaced": 1}
    copied = result.directory / f"bred-groups-{exploit['run']}" / "checkpoints" / "step_00000002"
    state = read_checkpoint(copied)
    begun = torch.load(Path(base.hooks["begun"].kwargs["folder"]) / f"bred-groups-{exploit['run']}-2.pt")
    assert differences(begun["model"], state["model"]) == []
    assert differences(begun["optimizer"]["state"], state["optimizer"]["state"]) == []
    assert (
        begun["optimizer"]["param_groups"][0]["initial_lr"]
        == exploit["recipe"]["optim.lr"]
        != state["optimizer"]["param_groups"][0]["initial_lr"]
    )
    ended = newest_whole(result.directory / f"bred-groups-{exploit['run']}")
    assert ended is not None
    assert step_of(ended) == 4
    assert not groups_of_this_job()


def test_what_is_measured_on_the_cluster_is_measured_once_and_the_same_in_all_trials(result: SweepResult) -> None:
    found = json.loads((result.directory / "speed.json").read_text())["values"]
    assert found[MEASURED] in {"contiguous", "channels_last"}
    configs = [from_yaml(path.read_text()) for path in result.directory.glob("bred-groups-*/config.yaml")]
    assert len(configs) == 4
    assert {flatten(ExperimentConfig.from_dict(config))[MEASURED] for config in configs} == {found[MEASURED]}
