"""A checkpoint scored by workers of a cluster: the scores of one process, and faults as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import rayseg
from rayseg.cli import main
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError, DataError, RaysegError
from rayseg.launch import TrainResult, evaluate_on_ray

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
EVERY = {"eval.metrics": ["mIoU", "mDice", "mFscore", "mBoundaryIoU"], "data.dataset.length": 5}


@pytest.fixture(scope="module")
def trained(ray_cluster: None, tiny: Callable[..., ExperimentConfig]) -> TrainResult:
    return rayseg.train(tiny("scored", **{"train.steps": 1, "eval.every": 1, "scaling.cpus_per_worker": 1.0}))


def same(shared: dict[str, float], alone: dict[str, float]) -> None:
    losses = {name for name in alone if name.startswith("test/loss")}
    assert shared.keys() == alone.keys() > losses
    assert {name: shared[name] for name in alone.keys() - losses} == {name: alone[name] for name in alone.keys() - losses}
    assert [shared[name] for name in sorted(losses)] == pytest.approx([alone[name] for name in sorted(losses)], rel=1e-5)


def test_scores_are_those_of_one_process_to_the_last_bit(trained: TrainResult, capfd: pytest.CaptureFixture[str]) -> None:
    """One worker is asked for by the function, two by the command."""
    assert trained.checkpoint is not None
    alone = rayseg.evaluate(trained.checkpoint, split="test", overrides=EVERY)
    same(evaluate_on_ray(trained.checkpoint, workers=1, split="test", overrides=EVERY), alone)
    changes = [f"{key}={json.dumps(value)}" for key, value in EVERY.items()]
    capfd.readouterr()
    assert main(["eval", str(trained.checkpoint), "--workers", "2", "--json", "--split", "test", *changes]) == 0
    same(json.loads(capfd.readouterr().out), alone)


def test_a_fault_is_the_fault_itself(trained: TrainResult, tmp_path: Path) -> None:
    assert trained.checkpoint is not None
    with pytest.raises(RaysegError, match="no split 'nix'"):
        evaluate_on_ray(trained.checkpoint, workers=1, split="nix")
    with pytest.raises(ConfigError, match="1000 workers with 1 CPU each need 1000"):
        evaluate_on_ray(trained.checkpoint, workers=1000)
    with pytest.raises((RaysegError, DataError), match=r"config\.yaml"):
        evaluate_on_ray(tmp_path, workers=1)
