"""A checkpoint that rank 0 cannot write ends the run of all, at once and with the reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rayseg.collective import is_main
from rayseg.engine import Fit, fit
from rayseg.errors import CheckpointError
from rayseg.testing import run_distributed
from tests.engine.runs import full, start

pytestmark = pytest.mark.dist


class Spoils:
    """A hook that puts a file where the directory of checkpoints was, before one of them is written."""

    def __init__(self, folder: Path, step: int) -> None:
        self.place, self.step = folder / "checkpoints", step

    def before_checkpoint(self, run: Fit) -> None:
        if is_main() and run.state.step == self.step:
            run.saver.wait()
            shutil.rmtree(self.place)
            self.place.touch()


def told(folder: Path, step: int) -> tuple[int, str]:
    """Of each rank: where the run ended, and why."""
    run = start(full(**{"train.steps": 6}), folder, hooks={"spoils": Spoils(folder, step)})
    with pytest.raises(CheckpointError) as caught:
        fit(run)
    return run.state.step, str(caught.value)


@pytest.mark.parametrize("step", [4, 6])
def test_a_checkpoint_that_cannot_be_written_ends_all_ranks_with_its_reason(tmp_path: Path, step: int) -> None:
    (first, reason), other = run_distributed(told, 2, tmp_path, step, timeout_s=60)
    assert first == 6
    assert f"step_0000000{step}: cannot write a checkpoint" in reason
    assert other == (6, f"rank 0: {reason}")
