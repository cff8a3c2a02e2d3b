"""Whole runs with 2 and 3 workers: resumed to the bit, handed over to another number of workers, scored alike."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from rayseg.testing import run_distributed
from tests.dist.run_cases import everything
from tests.engine.runs import Outcome, finish, full

pytestmark = pytest.mark.dist


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def stops() -> list[int]:
    return sorted(random.sample(range(1, 11), 2))


@pytest.fixture(scope="module")
def one_worker(folder: Path, stops: list[int]) -> dict[str, Any]:
    return everything(folder / "1", stops)


@pytest.fixture(scope="module", params=[2, 3])
def workers(request: pytest.FixtureRequest, folder: Path, stops: list[int]) -> list[dict[str, Any]]:
    return run_distributed(everything, request.param, folder / str(request.param), stops)


def test_a_stopped_run_is_the_uninterrupted_one_to_the_bit(workers: list[dict[str, Any]], stops: list[int]) -> None:
    assert [each["differences"] for each in workers] == [[]] * len(workers), f"stopped after {stops}"


def test_workers_that_share_decoded_samples_train_the_same_to_the_bit(workers: list[dict[str, Any]]) -> None:
    data = full().data.dataset.kwargs
    for differences, kept in (each["kept"] for each in workers):
        assert differences == []
        assert len(kept) == 2 * data["length"]
        assert not any(name.startswith(".") for name in kept)


def test_every_rank_ends_with_the_same_metrics(workers: list[dict[str, Any]]) -> None:
    assert len({tuple(each["whole"].returned.items()) for each in workers}) == 1


def assert_close(ours: Mapping[str, Any], theirs: Mapping[str, Any], tolerance: float) -> None:
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=tolerance, atol=tolerance * float(value.abs().max()), msg=name)


def assert_same_run(ours: Outcome, theirs: Outcome) -> None:
    """Equal up to what rounding does in eleven steps of float32."""
    assert_close(ours.state["model"], theirs.state["model"], 2e-4)
    assert_close(ours.state["ema"], theirs.state["ema"], 2e-4)
    assert ours.returned == pytest.approx(theirs.returned, rel=1e-2, abs=1e-2)
    assert ours.returned["val/loss"] == pytest.approx(theirs.returned["val/loss"], rel=1e-4)


def test_whole_runs_are_those_of_one_worker(workers: list[dict[str, Any]], one_worker: dict[str, Any]) -> None:
    assert_same_run(workers[0]["whole"], one_worker["whole"])
    expected = one_worker["whole"].logged
    for step, metrics in workers[0]["whole"].logged.items():
        assert (
            metrics["train/loss"] == pytest.approx(expected[step]["train/loss"], rel=1e-4) if "train/loss" in metrics else True
        )


def test_a_run_goes_on_with_another_number_of_workers(
    folder: Path, tmp_path: Path, workers: list[dict[str, Any]], one_worker: dict[str, Any]
) -> None:
    shutil.copytree(folder / str(len(workers)) / "handed over", tmp_path / "run")
    assert_same_run(finish(full(), tmp_path / "run"), one_worker["whole"])


def test_windows_and_views_give_the_same_scores_with_uneven_shares(
    workers: list[dict[str, Any]], one_worker: dict[str, Any]
) -> None:
    metrics, confusion = one_worker["windows"]
    assert metrics["val/loss"] != pytest.approx(one_worker["scores"][torch.float64][0]["val/loss"], rel=1e-6)
    for each in workers:
        found, counts = each["windows"]
        assert torch.equal(counts, confusion)
        assert found == pytest.approx(metrics, rel=1e-10)
        assert found["val/mBoundaryIoU"] == metrics["val/mBoundaryIoU"]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_scores_are_exact_and_the_validation_loss_equal_with_uneven_shares(
    workers: list[dict[str, Any]], one_worker: dict[str, Any], dtype: torch.dtype, tolerance: float
) -> None:
    metrics, confusion = one_worker["scores"][dtype]
    assert confusion.sum() > 0
    for each in workers:
        found, counts = each["scores"][dtype]
        assert torch.equal(counts, confusion)
        assert {name: value for name, value in found.items() if "loss" not in name} == {
            name: value for name, value in metrics.items() if "loss" not in name
        }
        assert found == pytest.approx(metrics, rel=tolerance)
