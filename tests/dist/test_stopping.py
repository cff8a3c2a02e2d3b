"""One worker asks for the end of the run, and all end at the same step."""

from __future__ import annotations

from pathlib import Path

import pytest

from rayseg.collective import rank, world_size
from rayseg.engine import Fit, fit
from rayseg.testing import run_distributed
from tests.engine.runs import full, start

pytestmark = pytest.mark.dist


class LastRankAsks:
    """A hook that only the last rank acts upon."""

    def after_step(self, run: Fit, _: object) -> None:
        if run.state.step == 2 and rank() == world_size() - 1:
            run.stop(f"rank {rank()} has seen enough")


def ended(folder: Path) -> tuple[int, str | None, list[str]]:
    run = start(full(**{"train.log_every": 3, "checkpoint.every": None}), folder, hooks={"asks": LastRankAsks()})
    metrics = fit(run)
    return run.state.step, run.state.stopped, sorted(metrics)


@pytest.mark.parametrize("size", [2, 3])
def test_all_workers_end_where_one_of_them_asked(tmp_path: Path, size: int) -> None:
    alone = ended(tmp_path / "1")
    found = run_distributed(ended, size, tmp_path / "n")
    assert found == [(3, f"rank {size - 1} has seen enough", alone[2])] * size
    assert alone[:2] == (3, "rank 0 has seen enough")
