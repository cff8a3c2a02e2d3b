"""Other ways to the same step: they change nothing but rounding, and what is ``auto`` is measured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from rayseg.build import assemble, decide, evaluate, measuring, open_choices, torch_settings
from rayseg.build.measuring import Comparison, accepts
from rayseg.config import ExperimentConfig
from rayseg.engine import LocalReporter, fit, lent_process
from rayseg.errors import ConfigError
from tests.build.small import BASE


def config(**speed: Any) -> ExperimentConfig:
    return BASE.with_({f"train.speed.{key}": value for key, value in speed.items()})


def weights_after(run: ExperimentConfig, where: Path) -> dict[str, torch.Tensor]:
    experiment = assemble(run, LocalReporter(where))
    fit(experiment.fit)
    return experiment.fit.state.model.state_dict()


@pytest.mark.parametrize("speed", [{"memory_format": "channels_last"}, {"fused_optimizer": True}])
def test_another_way_gives_the_same_weights_but_for_rounding(speed: dict[str, Any], tmp_path: Path) -> None:
    plain, other = weights_after(config(), tmp_path / "plain"), weights_after(config(**speed), tmp_path / "other")
    assert all(torch.allclose(plain[name].double(), other[name].double(), atol=1e-5) for name in plain)


def test_a_network_in_channels_last_keeps_its_order_through_the_run(tmp_path: Path) -> None:
    weights = weights_after(config(memory_format="channels_last"), tmp_path)
    wide = [each for each in weights.values() if each.dim() == 4 and each.shape[1] > 1 and each.shape[2] > 1]
    assert wide
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in wide)


def test_what_is_compiled_is_kept_where_the_next_trial_looks_unless_another_place_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAYSEG_CACHE", "/somewhere")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    with lent_process(), torch_settings(config()):
        assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
    with torch_settings(config(compile=True)):
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/somewhere/compiled"
    with torch_settings(config()):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = "/of_torch"  # as its compiler does when it is imported
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ, "the next run in this process would take it for the user's"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/mine")
    with torch_settings(config(compile=True)):
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/mine"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/mine"


def test_what_is_to_be_measured_is_not_built_by_accident(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.speed\.compile: auto is decided by rayseg\.train"):
        assemble(config(compile="auto"), LocalReporter(tmp_path))


def test_a_trained_model_is_not_evaluated_in_a_way_that_is_still_to_be_chosen(tmp_path: Path) -> None:
    weights_after(config(), tmp_path)
    (checkpoint, *_) = sorted(tmp_path.glob("checkpoints/*"))
    with pytest.raises(ConfigError, match=r"train\.precision: auto is decided by rayseg\.train"):
        evaluate(checkpoint, overrides={"train.precision": "auto"})


def test_a_choice_is_kept_where_it_is_named_and_measured_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def compared(one: ExperimentConfig, other: ExperimentConfig, *_: Any) -> Comparison:
        seen.append((one.train.speed, other.train.speed, other.train.precision))
        return Comparison([1.0] * 5, [0.5] * 5)

    monkeypatch.setattr(measuring, "_compared", compared)
    found = decide(config(memory_format="auto", compile="auto", fused_optimizer=True).with_({"train.precision": "auto"}))
    assert found.values == {
        "train.speed.memory_format": "channels_last",
        "train.precision": "bf16",
        "train.speed.compile": True,
    }
    assert [one.fused_optimizer for one, _, _ in seen] == [True] * 3
    assert [one.memory_format for one, _, _ in seen] == ["contiguous", "channels_last", "channels_last"]
    assert "a step took 1000 ms, with bf16 500 ms" in found.reasons[1]


def test_a_way_that_fails_here_is_not_taken_and_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Comparison:
        raise RuntimeError("no compiler\nat line 7")

    monkeypatch.setattr(measuring, "_compared", failing)
    found = decide(config(compile="auto"))
    assert found.values == {"train.speed.compile": False}
    assert found.reasons == ("train.speed.compile: False, since True failed here (RuntimeError: no compiler)",)


def test_a_failure_without_a_message_is_told_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Comparison:
        raise MemoryError

    monkeypatch.setattr(measuring, "_compared", failing)
    assert decide(config(compile="auto")).reasons == ("train.speed.compile: False, since True failed here (MemoryError)",)


def test_steps_are_really_timed_and_leave_generators_and_threads_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    monkeypatch.setattr(measuring, "_SECONDS", 0.1)
    found = decide(config(memory_format="auto"))
    assert set(found.values) == {"train.speed.memory_format"}
    assert "a step took" in found.reasons[0]
    assert torch.equal(before, torch.get_rng_state())
    assert threads == torch.get_num_threads()


@pytest.mark.parametrize(
    ("after", "taken"),
    [([0.5] * 5, True), ([0.99] * 5, False), ([0.5, 0.5, 0.5, 1.2, 1.2], False), ([0.9, 0.9, 0.9, 0.9, 1.2], True)],
)
def test_a_way_is_taken_where_it_is_clearly_and_steadily_faster(after: list[float], taken: bool) -> None:
    assert accepts(Comparison([1.0] * 5, after)) is taken


def test_auto_is_short_for_every_choice_but_precision() -> None:
    keys = open_choices(ExperimentConfig().with_({"train.speed": "auto"}))
    assert keys == ["train.speed.memory_format", "train.speed.fused_optimizer", "train.speed.compile"]
