"""What is measured is measured once, said, and part of the run from then on."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

import rayseg
from rayseg.build import Decision
from rayseg.errors import ConfigError
from rayseg.launch import deciding
from rayseg.launch.request import SweepRequest
from rayseg.space import choice

FOUND = Decision({"train.speed.memory_format": "channels_last"}, ("train.speed.memory_format: channels_last, it is faster",))


class Ended(Exception):
    """The search got as far as the test looks."""


def small(where: Path, **more: Any) -> rayseg.ExperimentConfig:
    return rayseg.ExperimentConfig().with_(
        {
            "data.dataset": {"type": "synthetic", "size": [32, 32], "length": 4},
            "model": {"type": "small_unet", "width": 4, "depth": 1},
            "train.batch_size": 2,
            "train.steps": 2,
            "train.threads": 1,
            "train.speed.memory_format": "auto",
            "tracking.name": "measured",
            "tracking.storage": str(where),
            "tracking.mlflow": None,
            **more,
        }
    )


def test_a_run_says_once_what_was_measured_and_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deciding, "decide", lambda *_, **__: FOUND)
    monkeypatch.setattr(deciding.decided, "__defaults__", (deciding.measured_here,))
    result = rayseg.train(small(tmp_path))
    assert result.config.train.speed.memory_format == "channels_last"
    assert "memory_format: channels_last" in (result.directory / "config.yaml").read_text()
    assert json.loads((result.directory / "speed.json").read_text())["reasons"] == list(FOUND.reasons)
    assert capsys.readouterr().out.count("it is faster") == 1

    def again(*_: Any, **__: Any) -> Decision:
        raise AssertionError("measured a second time")

    monkeypatch.setattr(deciding, "decide", again)
    assert rayseg.train(small(tmp_path)).config == result.config
    assert result.last_checkpoint is not None
    assert rayseg.evaluate(result.last_checkpoint)["val/mIoU"] == result.metrics["val/mIoU"]


def test_all_trials_of_a_search_have_what_was_measured_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping = importlib.import_module("rayseg.launch.sweeping")
    asked: list[SweepRequest] = []

    def searched(request: SweepRequest, directory: Path) -> Any:
        asked.append(request)
        raise Ended

    monkeypatch.setattr(sweeping, "_searched", searched)
    monkeypatch.setattr(sweeping, "_measured_on_cluster", lambda *_: FOUND)
    with pytest.raises(Ended):
        rayseg.sweep(small(tmp_path), {"optim.lr": choice([0.1, 0.01])}, searcher="grid")
    assert asked[0].base.train.speed.memory_format == "channels_last"


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"train.precision": choice(["fp32", "auto"])}, "train.precision: auto is measured once for all trials"),
        ({"train.speed.compile": choice([True, False])}, "train.speed.compile: cannot be searched: it is how fast"),
    ],
)
def test_speed_and_precision_are_never_measured_per_trial(space: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        rayseg.sweep(small(tmp_path), space, searcher="grid")
