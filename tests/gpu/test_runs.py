"""Whole runs on a GPU repeat to the bit, in every precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import rayseg
from rayseg.build import torch_settings
from rayseg.engine import read_checkpoint
from rayseg.testing import tiny_experiment

pytestmark = pytest.mark.gpu

RECIPE = {
    "model.dropout": 0.2,
    "losses.dice": {"type": "dice"},
    "sampling": {"type": "ohem", "min_kept": 0.2},
    "train.ema": {"decay": 0.9},
    "tracking.mlflow": None,
}


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_two_runs_on_a_gpu_end_with_the_same_bits(tmp_path: Path, precision: str) -> None:
    ends = []
    for name in ("first", "again"):
        config = tiny_experiment(**RECIPE, **{"train.precision": precision, "tracking.storage": str(tmp_path / name)})
        result = rayseg.train(config)
        assert result.last_checkpoint is not None
        ends.append(read_checkpoint(result.last_checkpoint, "model.pt"))
    first, again = ends
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(value.isfinite().all() for value in first.values())


def test_a_run_cannot_take_more_than_its_share_of_a_gpu() -> None:
    whole = torch.cuda.get_device_properties(0).total_memory
    with torch_settings(tiny_experiment(**{"scaling.gpu": 0.01})), pytest.raises(torch.OutOfMemoryError):
        torch.empty(whole // 50, dtype=torch.uint8, device="cuda")
    torch.empty(whole // 50, dtype=torch.uint8, device="cuda")
