"""One cluster, one store and one directory for all runs of the session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rayseg.config import ExperimentConfig
from rayseg.testing import tiny_experiment

Tiny = Callable[..., ExperimentConfig]


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def tiny(storage: Path) -> Tiny:
    """``tiny(name, **overrides)``: a tiny experiment that is recorded.

    Half the cluster for each trial, where nothing else is said: a third process takes longer to start than tiny trials to run.
    """

    def make(name: str, **overrides: Any) -> ExperimentConfig:
        if not any(key.startswith("scaling") for key in overrides):
            overrides["scaling.cpus_per_worker"] = 2.0
        recorded = {"tracking.storage": str(storage), "tracking.name": name, "tracking.mlflow": {"experiment": "tests"}}
        return tiny_experiment(**{**recorded, "data.dataset.size": [32, 64], "tracking.pictures": 1, **overrides})

    return make


@pytest.fixture(scope="session")
def mlflow(ray_cluster: None, storage: Path) -> Any:
    """A client of the store in which everything is recorded."""
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{storage}/mlflow.db")
