"""A sweep whose trials are groups of two workers: nothing hangs, nothing is left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

import ray
import rayseg
from rayseg.config import ExperimentConfig
from rayseg.launch import SweepResult
from rayseg.launch.groups import give_back_groups, groups_of_this_job
from rayseg.space import choice
from tests.ray.parts import troubled

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
Tiny = Callable[..., ExperimentConfig]


@pytest.fixture(scope="module")
def result(ray_cluster: None, tiny: Tiny) -> SweepResult:
    """Three trials, each as large as the cluster; the process of the second is killed, the last is stopped early."""
    large = {"scaling.workers": 2, "scaling.cpus_per_worker": 2}
    overrides = {**large, "scaling.max_failures": 0, "losses": {"ce": {"type": "troubled", "trouble": "none"}}}
    space = {"optim.lr": choice([1e-7]), "losses.ce.trouble": choice(["trial killed", "none"])}
    return rayseg.sweep(
        tiny("groups", **overrides),
        space,
        metric="val/loss",
        mode="min",
        searcher="grid",
        grace_steps=3,
        components={"troubled": troubled(os.getpid())},
    )


def test_a_trial_is_stopped_at_its_gate_and_a_killed_one_costs_itself_only(result: SweepResult, mlflow: Any) -> None:
    found = {(row["optim.lr"], row["losses.ce.trouble"]): (row["status"], row["step"]) for row in result.table}
    assert found == {
        (1e-3, "none"): ("full", 6),
        (1e-7, "none"): ("stopped early", 3),
        (1e-7, "trial killed"): ("failed", 0),
    }
    wanted = {"full": "FINISHED", "stopped early": "FINISHED", "failed": "FAILED"}
    for row in result.table:
        assert mlflow.get_run(row["run_id"]).info.status == wanted[row["status"]]


def test_everything_is_given_back(result: SweepResult) -> None:
    assert not groups_of_this_job()
    deadline = time.monotonic() + 20
    while ray.available_resources().get("CPU") != 4 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert ray.available_resources()["CPU"] == 4
    named = {each["name"] for each in ray.util.list_named_actors(all_namespaces=True)}
    assert named <= {"AutoscalingCoordinator"}  # one per cluster, Ray's own


def test_a_group_of_this_job_is_found_and_given_back() -> None:
    group = ray.util.placement_group([{"CPU": 1}])
    ray.get(group.ready())
    assert groups_of_this_job() == {group.id.hex()}
    give_back_groups(groups_of_this_job())
    assert not groups_of_this_job()
