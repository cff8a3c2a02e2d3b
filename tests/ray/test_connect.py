"""Which cluster is joined, what is asked of it, and how many trials it holds; no cluster is started."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ray
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError
from rayseg.launch.cluster import connect, fitting_workers, require_resources, use_gpu, worker_resources
from rayseg.launch.request import SweepRequest
from rayseg.launch.search import max_concurrent
from rayseg.testing import tiny_experiment

pytestmark = pytest.mark.ray


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What ``ray.init`` was called with."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **given: calls.append(given))
    return calls


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What the cluster has; a test may change it."""
    has = {"CPU": 4.0, "GPU": 0.0}
    monkeypatch.setattr(ray, "cluster_resources", lambda: has)
    monkeypatch.delenv("RAYSEG_CLUSTER_CAN_GROW", raising=False)
    return has


def _request(base: ExperimentConfig, wanted: int | None = None) -> SweepRequest:
    return SweepRequest(base, {}, "val/mIoU", "max", 8, "random", "asha", {}, wanted, None, {})


def test_a_job_joins_its_cluster_and_asks_for_no_cpus(asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    connect()
    (given,) = asked
    assert given["address"] == "auto"
    assert not {"num_cpus", "num_gpus"} & given.keys()


def test_without_one_a_local_cluster_with_all_cores_is_started(
    asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    connect()
    (given,) = asked
    assert given["address"] == "local"
    assert "num_cpus" not in given


def test_a_cluster_that_can_grow_is_asked_for_more_than_it_has(
    cluster: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_experiment(**{"scaling.workers": 2, "scaling.gpu": True})
    with pytest.raises(ConfigError, match=r"scaling\.workers"):
        require_resources(config)
    monkeypatch.setenv("RAYSEG_CLUSTER_CAN_GROW", "1")
    require_resources(config)
    assert max_concurrent(_request(config, wanted=3), 9) == 3
    assert max_concurrent(_request(config), 9) == 9


def test_an_elastic_run_needs_its_smallest_number_of_workers(cluster: dict[str, float]) -> None:
    require_resources(tiny_experiment(**{"scaling.workers": [4, 8], "train.batch_size": 8}))
    with pytest.raises(ConfigError, match="5 workers"):
        require_resources(tiny_experiment(**{"scaling.workers": [5, 8], "train.batch_size": 8}))


def test_gpus_are_used_where_the_cluster_has_them(cluster: dict[str, float]) -> None:
    config = tiny_experiment(**{"scaling.gpu": "auto"})
    assert not use_gpu(config)
    cluster["GPU"] = 1.0
    assert worker_resources(config) == {"CPU": 1.0, "GPU": 1.0}
    shared = tiny_experiment(**{"scaling.gpu": 0.25})
    assert worker_resources(shared) == {"CPU": 1.0, "GPU": 0.25}
    cluster["CPU"] = 3.0
    assert (max_concurrent(_request(shared), 9), max_concurrent(_request(shared, wanted=2), 9)) == (3, 2)


@given(share=st.floats(0.01, 0.99), gpus=st.integers(0, 8), cpus=st.integers(0, 64))
def test_as_many_trials_run_at_a_time_as_have_their_share_in_one_gpu(share: float, gpus: int, cpus: int) -> None:
    fitting = fitting_workers({"CPU": float(cpus), "GPU": float(gpus)}, {"CPU": 1.0, "GPU": share})
    in_one = max(count for count in range(101) if count * share <= 1 + 1e-9)
    assert fitting == min(cpus, gpus * in_one)


@pytest.mark.parametrize(
    ("workers", "cpus", "wanted", "expected"),
    [(0, 4, None, 4), (1, 4, 2, 2), (2, 4, None, 2), (2, 3, None, 1), (2, 1, None, 1), (4, 4, 8, 1), ([1, 2], 4, None, 2)],
)
def test_as_many_trials_run_as_the_cluster_holds_whole(
    cluster: dict[str, float], workers: Any, cpus: float, wanted: int | None, expected: int
) -> None:
    cluster["CPU"] = cpus
    assert max_concurrent(_request(tiny_experiment(**{"scaling.workers": workers}), wanted), 9) == expected
