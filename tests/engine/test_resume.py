"""A run that is stopped and started again is the run that was never stopped."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rayseg.engine import Fit, LocalReporter, fit, read_checkpoint, read_manifest, write_checkpoint
from rayseg.errors import CheckpointError, NonFiniteLossError
from tests.engine.runs import Outcome, compare, differences, finish, full, into, start, stop


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return finish(full(), tmp_path_factory.mktemp("whole"))


def test_a_run_stopped_at_random_steps_is_bit_for_bit_the_uninterrupted_one(tmp_path: Path, uninterrupted: Outcome) -> None:
    stops = sorted(random.sample(range(1, 11), 3))
    logged: dict[int, dict[str, float]] = {}
    for step in stops:
        stop(full(), tmp_path, step, logged)
    assert compare(finish(full(), tmp_path, logged), uninterrupted) == [], f"stopped after {stops}"


def test_every_step_is_logged_once_and_evaluations_are_in_the_history(uninterrupted: Outcome) -> None:
    assert sorted(uninterrupted.logged) == [4, 5, 8, 10, 11]
    assert [step for step, _ in uninterrupted.history] == [5, 10, 11]
    assert uninterrupted.history[-1][1] == uninterrupted.returned
    assert {"train/loss", "train/loss/ce", "train/ohem/kept", "train/grad_norm"} < uninterrupted.logged[4].keys()


def test_a_finished_run_does_no_step_and_returns_its_metrics(tmp_path: Path, uninterrupted: Outcome) -> None:
    finish(full(), tmp_path)
    run = start(full(), tmp_path, hooks={"stop": Forbidden()})
    assert fit(run) == uninterrupted.returned


def test_metrics_lost_between_checkpoint_and_report_are_reported_again(tmp_path: Path) -> None:
    returned = finish(full(**{"train.steps": 2}), tmp_path).returned
    (tmp_path / "metrics.jsonl").unlink()
    logged: dict[int, dict[str, float]] = {}
    again = finish(full(**{"train.steps": 2}), tmp_path, logged)
    assert again.history == [(2, returned)]
    assert logged == {2: returned}


class Forbidden:
    """A hook that fails if a step is taken."""

    def before_step(self, run: Fit) -> None:
        raise AssertionError(run.state.step)


class Diary:
    """A hook with a state, which tells where it was called."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.calls: list[str] = []

    def on_start(self, run: Fit) -> None:
        self.calls.append(f"start {run.state.step}")

    def before_step(self, run: Fit) -> None:
        self.calls.append(f"before {run.state.step}")

    def after_step(self, run: Fit, parts: Mapping[str, Tensor]) -> None:
        assert "loss" in parts
        self.steps.append(run.state.step)
        self.calls.append(f"after {run.state.step}")

    def on_eval(self, run: Fit, metrics: dict[str, float]) -> None:
        metrics["val/own"] = float(len(self.steps))
        self.calls.append(f"eval {run.state.step}")

    def on_checkpoint(self, run: Fit, directory: Path | None) -> None:
        assert directory is not None
        assert read_manifest(directory)["step"] == run.state.step
        self.calls.append(f"checkpoint {run.state.step}")

    def on_end(self, run: Fit) -> None:
        self.calls.append(f"end {run.state.step}")

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = list(state["steps"])


def test_hooks_are_called_as_drawn_and_their_state_is_restored(tmp_path: Path) -> None:
    config = full(**{"train.steps": 3, "eval.every": 2, "checkpoint.every": 1, "eval.at_end": False})
    diary = Diary()
    fit(start(config, tmp_path, hooks={"diary": diary}))
    assert diary.calls == [
        *("start 0", "before 0", "after 1", "checkpoint 1", "before 1", "after 2", "eval 2", "checkpoint 2"),
        *("before 2", "after 3", "checkpoint 3", "end 3"),
    ]
    longer = config.with_({"train.steps": 4, "eval.at_end": True})
    resumed = Diary()
    run = start(longer, tmp_path, hooks={"diary": resumed})
    assert fit(run)["val/own"] == 4.0
    assert resumed.steps == [1, 2, 3, 4]
    assert resumed.calls[0] == "start 3"


def test_numbers_of_any_kind_that_a_hook_adds_are_resumed(tmp_path: Path) -> None:
    class Measure:
        def on_eval(self, run: Fit, metrics: dict[str, Any]) -> None:
            metrics |= {"val/numpy": np.float64(run.state.step), "val/tensor": torch.tensor(0.5)}

    config = full(**{"train.steps": 2})
    first = fit(start(config, tmp_path, hooks={"measure": Measure()}))
    assert (first["val/numpy"], first["val/tensor"]) == (2.0, 0.5)
    assert fit(start(config, tmp_path)) == first


def test_the_newest_and_the_best_checkpoint_are_kept(tmp_path: Path) -> None:
    scores = iter([0.1, 0.9, 0.3, 0.4, 0.2])
    run = start(full(**{"train.steps": 5, "eval.every": 1, "checkpoint.every": None}), tmp_path)
    run.evaluate = lambda _: {"val/mIoU": next(scores)}
    fit(run)
    reporter = LocalReporter(tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step_00000002",
        "step_00000004",
        "step_00000005",
    ]
    best, latest = reporter.best(), reporter.latest()
    assert (best, latest) == (reporter.staging(2), reporter.staging(5))
    assert run.state.best == 0.9


def test_a_loss_of_nan_stops_the_run_before_anything_after_it_is_saved(tmp_path: Path) -> None:
    class Poison:
        def before_step(self, run: Fit) -> None:
            if run.state.step == 6:
                with torch.no_grad():
                    next(run.state.model.parameters()).fill_(float("nan"))

    whole: dict[int, dict[str, float]] = {}
    stop(full(), tmp_path / "healthy", 5, whole)
    logged: dict[int, dict[str, float]] = {}
    with pytest.raises(NonFiniteLossError, match=r"step 6: .*loss/dice = nan.*step_00000006") as caught:
        fit(start(full(), tmp_path / "ill", into(logged), {"poison": Poison()}))
    assert "loss/ce = nan" in str(caught.value)
    assert sorted(logged) == [4, 5]
    reporter = LocalReporter(tmp_path / "ill")
    assert reporter.latest() == reporter.staging(6)
    state = read_checkpoint(reporter.staging(6))
    assert all(torch.isfinite(value).all() for value in (*state["model"].values(), *state["ema"].values()))
    healthy = read_checkpoint(tmp_path / "healthy" / "checkpoints" / "step_00000004")
    assert differences(read_checkpoint(tmp_path / "ill" / "checkpoints" / "step_00000004"), healthy) == []


def test_momentum_and_rate_follow_their_schedules(tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []

    class Look:
        def after_step(self, run: Fit, _: Mapping[str, Tensor]) -> None:
            group = run.state.optimizer.param_groups[0]
            seen.append((group["lr"], group["momentum"]))

    config = full(
        **{
            "optim": {"type": "sgd", "lr": 0.4, "momentum": 0.8},
            "train.steps": 4,
            "schedule": {"type": "poly", "power": 1.0},
            "schedule.warmup": None,
            "schedule.momentum": {"type": "poly", "power": 2.0},
        }
    )
    fit(start(config, tmp_path, hooks={"look": Look()}))
    assert seen == [pytest.approx((0.4 * (1 - s / 4), 0.8 * (1 - s / 4) ** 2)) for s in range(4)]


def torn(path: Path, how: str) -> None:
    manifest = path / "manifest.json"
    if how == "no manifest":
        manifest.unlink()
    elif how == "half a manifest":
        manifest.write_text(manifest.read_text()[:40])
    elif how == "truncated":
        (path / "train.pt").write_bytes((path / "train.pt").read_bytes()[:-100])
    elif how == "changed":
        data = bytearray((path / "train.pt").read_bytes())
        data[len(data) // 2] ^= 1
        (path / "train.pt").write_bytes(data)
    elif how == "file gone":
        (path / "train.pt").unlink()
    else:
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))


@pytest.mark.parametrize("how", ["no manifest", "half a manifest", "truncated", "changed", "file gone", "newer format"])
def test_a_torn_checkpoint_is_passed_over_and_refused_when_named(tmp_path: Path, how: str) -> None:
    reporter = LocalReporter(tmp_path)
    for step in (1, 2):
        write_checkpoint(
            reporter.staging(step), {"train.pt": {"step": torch.arange(1000)}}, {"config.yaml": "seed: 0"}, step=step
        )
    torn(reporter.staging(2), how)
    assert reporter.latest() == reporter.staging(1)
    with pytest.raises(CheckpointError, match=r"step_00000002.*(name another|use the version)"):
        read_checkpoint(reporter.staging(2))


def test_a_run_goes_on_from_the_last_whole_checkpoint(tmp_path: Path, uninterrupted: Outcome) -> None:
    logged: dict[int, dict[str, float]] = {}
    stop(full(), tmp_path, 7, logged)
    torn(tmp_path / "checkpoints" / "step_00000006", "truncated")
    assert compare(finish(full(), tmp_path, logged), uninterrupted) == []


def test_a_torn_checkpoint_takes_no_place_of_a_whole_one(tmp_path: Path) -> None:
    reporter = LocalReporter(tmp_path, keep=1)
    for step in (2, 9):
        write_checkpoint(reporter.staging(step), {}, {"config.yaml": ""}, step=step)
    torn(reporter.staging(9), "no manifest")
    reporter.stored(write_checkpoint(reporter.staging(4), {}, {"config.yaml": ""}, step=4))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000004"]


def test_what_a_killed_writer_left_is_cleaned_up(tmp_path: Path) -> None:
    left = tmp_path / ".step_00000001.abcdef12"
    left.mkdir()
    write_checkpoint(tmp_path / "step_00000002", {}, {"config.yaml": ""}, step=2)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000002"]


def test_a_missing_file_of_a_whole_checkpoint_is_named(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "step_00000002", {}, {"config.yaml": ""}, step=2)
    with pytest.raises(CheckpointError, match=r"has no train.pt, only config.yaml"):
        read_checkpoint(tmp_path / "step_00000002")


def test_storage_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file where the directory should be")
    with pytest.raises(CheckpointError, match=r"checkpoints.step_\d+: cannot write a checkpoint .*tracking\.storage"):
        fit(start(full(**{"train.steps": 2}), tmp_path))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"model.width": 8}, "does not fit this config"),
        ({"optim.groups": {"head": {"match": "classifier", "lr_mult": 2.0}}}, "does not fit this config"),
        ({"train.ema": None}, "has an average, the config wants none"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    config = full(**{"train.steps": 2})
    finish(config, tmp_path)
    with pytest.raises(CheckpointError, match=says):
        fit(start(config.with_(changed), tmp_path))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_accumulated_runs_resume_to_the_bit(tmp_path: Path, precision: str) -> None:
    config = full(**{"train.micro_batch": 2, "train.precision": precision, "train.steps": 4, "eval.every": 4})
    whole = finish(config, tmp_path / "whole")
    logged: dict[int, dict[str, float]] = {}
    stop(config, tmp_path / "stopped", 3, logged)
    assert compare(finish(config, tmp_path / "stopped", logged), whole) == []
