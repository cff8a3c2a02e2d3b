"""fp16 with several workers: all skip a step that overflows, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rayseg.engine import fit
from rayseg.testing import run_distributed
from tests.engine.runs import full, start
from tests.engine.test_scaler import FP16, Overflowing

pytestmark = pytest.mark.dist


def run(folder: Path) -> dict[str, Any]:
    hook = Overflowing(1, 4)
    config = full(**{**FP16, "model.norm": "sync", "optim": {"type": "sgd", "lr": 0.1, "momentum": 0.9}})
    made = start(config, folder, hooks={"overflowing": hook})
    metrics = fit(made)
    assert made.state.scaler is not None
    moved = [not torch.equal(before[0], after[0]) for before, after in zip(hook.seen, hook.seen[1:], strict=False)]
    return {"moved": moved, "skipped": made.state.scaler.skipped, "loss": metrics["val/loss"]}


@pytest.mark.parametrize("world_size", [2, 3])
def test_every_worker_skips_the_same_steps_and_learns_the_same(tmp_path: Path, world_size: int) -> None:
    alone = run(tmp_path / "1")
    found = run_distributed(run, world_size, tmp_path / "n")
    assert all(each == found[0] for each in found)
    assert (found[0]["moved"], found[0]["skipped"]) == (alone["moved"], 2)
    assert found[0]["loss"] == pytest.approx(alone["loss"], rel=5e-3)
