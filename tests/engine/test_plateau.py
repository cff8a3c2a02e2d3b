"""The one schedule with state, in whole runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rayseg.config import ExperimentConfig
from rayseg.engine import Fit, fit
from rayseg.errors import CheckpointError, ConfigError
from rayseg.testing import tiny_experiment
from tests.engine.runs import Log, compare, finish, start, stop

#: Every evaluation but the first is no improvement: val/loss does not fall by half.
PLATEAU = {"type": "plateau", "monitor": "val/loss", "mode": "min", "factor": 0.5, "patience": 0, "threshold": 0.5}


def falling(**more: Any) -> ExperimentConfig:
    warmed = {"schedule": {**PLATEAU, "warmup": {"length": 3}}, "train.steps": 8, "train.log_every": 1, "eval.every": 2}
    return tiny_experiment(**{**warmed, **more})


def test_the_rate_falls_after_evaluations_without_improvement_and_a_stopped_run_is_the_uninterrupted_one(
    tmp_path: Path,
) -> None:
    config = falling()
    whole = finish(config, tmp_path / "whole")
    rates = [whole.logged[step]["train/lr/default"] / (config.optim.lr or 0.0) for step in range(1, 9)]
    assert rates == pytest.approx([0.1, 0.4, 0.7, 1.0, 0.5, 0.5, 0.25, 0.25])
    logged: Log = {}
    for step in (3, 5):
        stop(config, tmp_path / "stopped", step, logged)
    assert compare(finish(config, tmp_path / "stopped", logged), whole) == []


def test_a_checkpoint_of_another_kind_of_schedule_is_refused(tmp_path: Path) -> None:
    finish(falling(**{"train.steps": 2}), tmp_path)
    with pytest.raises(CheckpointError, match=r"another kind of schedule: leave schedule\.type as it was"):
        fit(start(falling(**{"train.steps": 4, "schedule": {"type": "poly"}}), tmp_path))


class Score:
    """A hook that adds a score."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_eval(self, run: Fit, metrics: dict[str, float]) -> None:
        metrics[self.name] = float(run.state.step)


def test_a_score_that_a_hook_adds_is_followed_and_one_that_no_evaluation_gives_is_an_error(tmp_path: Path) -> None:
    config = falling(**{"schedule": {**PLATEAU, "monitor": "val/own"}, "train.steps": 4})
    run = start(config, tmp_path / "a", hooks={"own": Score("val/own")})
    fit(run)
    assert run.state.plateau is not None
    assert (run.state.plateau.best, run.state.plateau.multiplier) == (2.0, 0.5)
    with pytest.raises(ConfigError, match=r"schedule\.monitor: no metric is called 'val/own'; set it to one .* gives: val/"):
        fit(start(config, tmp_path / "b", hooks={"other": Score("val/other")}))


def rates(folder: Path) -> Mapping[str, Any]:
    """A run whose ranks measure different scores."""
    from rayseg.collective import rank

    class Own:
        def on_eval(self, run: Fit, metrics: dict[str, float]) -> None:
            metrics["val/own"] = float(run.state.step if rank() else 0)

    config = falling(**{"schedule": {**PLATEAU, "monitor": "val/own", "mode": "max"}, "train.steps": 6})
    run = start(config, folder, hooks={"own": Own()})
    fit(run)
    assert run.state.plateau is not None
    return run.state.plateau.state_dict()


@pytest.mark.dist
def test_the_rate_is_the_same_on_every_rank_whatever_they_measured(tmp_path: Path) -> None:
    from rayseg.testing import run_distributed

    found = run_distributed(rates, 2, tmp_path)
    assert found == [{"multiplier": 0.25, "best": 0.0, "num_bad": 0, "cooling": 0}] * 2
