"""Whole runs on a GPU repeat to the bit, in every precision, and do not wait for it between log lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import rayseg
from rayseg.build import assemble, torch_settings
from rayseg.engine import Fit, LocalReporter, fit, read_checkpoint
from rayseg.testing import tiny_experiment

pytestmark = pytest.mark.gpu

RECIPE = {
    "model.dropout": 0.2,
    "losses.dice": {"type": "dice"},
    "sampling": {"type": "ohem", "min_kept": 0.2},
    "train.ema": {"decay": 0.9},
    "scaling.gpu": True,
    "tracking.mlflow": None,
}


class NoWaiting:
    """A hook that makes every wait for the GPU an error, from the second step to the last but one."""

    def __init__(self, total_steps: int) -> None:
        self.total_steps = total_steps

    def after_step(self, run: Fit, _: Mapping[str, Tensor]) -> None:
        """What comes after it: the batch of the next step, and that step."""
        torch.cuda.set_sync_debug_mode("error" if 2 <= run.state.step < self.total_steps - 1 else "default")


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


@pytest.mark.parametrize("kernels", ["plain", "triton"])
@pytest.mark.parametrize(
    "change", [{}, {"train.precision": "bf16"}, {"train.speed.fused_optimizer": True, "train.micro_batch": 2}]
)
def test_nothing_waits_between_two_log_lines(tmp_path: Path, kernels: str, change: dict[str, Any]) -> None:
    later = {"train.steps": 8, "train.log_every": 8, "eval.every": 8, "checkpoint.every": 8, "train.kernels": kernels}
    config = tiny_experiment(**{**RECIPE, **later, **change, "losses.ce.class_weight": [1, 1, 1, 1, 1, 2, 3, 2, 3]})
    with torch_settings(config):
        run = assemble(config, LocalReporter(tmp_path)).fit
        run.state.hooks = {"strict": NoWaiting(8)}
        try:
            fit(run)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert run.state.step == 8


def test_a_run_cannot_take_more_than_its_share_of_a_gpu() -> None:
    whole = torch.cuda.get_device_properties(0).total_memory
    with torch_settings(tiny_experiment(**{"scaling.gpu": 0.01})), pytest.raises(torch.OutOfMemoryError):
        torch.empty(whole // 50, dtype=torch.uint8, device="cuda")
    torch.empty(whole // 50, dtype=torch.uint8, device="cuda")
