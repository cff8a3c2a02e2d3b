"""A config whose run takes milliseconds, and one run of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rayseg.config import ExperimentConfig, write_yaml
from rayseg.launch import TrainResult, train


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Label counts are kept with the tests, not with the user."""
    os.environ["RAYSEG_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def small() -> ExperimentConfig:
    """No MLflow, this process, two steps, scores after the second; a class weight that needs the labels of the training set."""
    return ExperimentConfig.from_dict(
        {
            "data": {"dataset": {"type": "synthetic", "size": [32, 48], "length": 4}},
            "model": {"type": "small_unet", "width": 4, "depth": 1},
            "losses": {
                "ce": {"type": "cross_entropy", "class_weight": {"type": "inverse_frequency"}},
                "dice": {"type": "dice"},
            },
            "train": {"batch_size": 2, "steps": 2},
            "eval": {"every": {"steps": 2}},
            "tracking": {"mlflow": None, "text": False},
        }
    )


@pytest.fixture(scope="session")
def trained(small: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """What training brought home."""
    return train(small.with_({"tracking.storage": str(tmp_path_factory.mktemp("runs")), "tracking.name": "small"}))


@pytest.fixture
def file(small: ExperimentConfig, tmp_path: Path) -> Path:
    """The config as a file; its run goes beside it."""
    return write_yaml(small.with_({"tracking.storage": str(tmp_path / "runs")}), tmp_path / "small.yaml")
