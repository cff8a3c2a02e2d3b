"""A group of workers is killed at random moments and started again: nobody can tell from what it leaves."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from rayseg.engine import LocalReporter, read_checkpoint
from rayseg.testing import _kill, _start, run_distributed
from tests.dist.run_cases import run_and_write_log
from tests.engine.runs import differences

pytestmark = pytest.mark.chaos

KILLS = 4


def newest(folder: Path) -> str:
    names = [path.name for path in (folder / "checkpoints").glob("step_*")]
    return max(names, default="")


def kill_after_progress(folder: Path, group: Path, world_size: int) -> str:
    """Start the run, wait for a new checkpoint and a random while, and kill every worker; the newest checkpoint."""
    before = newest(folder)
    group.mkdir()
    workers = _start(run_and_write_log, world_size, (folder,), group, 60.0)
    try:
        deadline = time.monotonic() + 60
        while newest(folder) == before and all(worker.exitcode is None for worker in workers):
            assert time.monotonic() < deadline, "no checkpoint in 60 s"
            time.sleep(0.005)
        time.sleep(random.random() * 0.3)
    finally:
        _kill(workers)
    return newest(folder)


def log_of(folder: Path) -> dict[tuple[int, str], set[float]]:
    """Every value that was ever logged at a step, whatever was repeated; a line that a kill cut off is left out."""
    values: dict[tuple[int, str], set[float]] = {}
    for line in (folder / "log.jsonl").read_text().splitlines():
        if line.endswith("}]"):
            step, metrics = json.loads(line)
            for name, value in metrics.items():
                values.setdefault((step, name), set()).add(value)
    return values


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_a_run_that_is_killed_again_and_again_is_the_uninterrupted_one(tmp_path: Path, world_size: int) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    run_distributed(run_and_write_log, world_size, whole)
    reached = [kill_after_progress(killed, tmp_path / f"group{number}", world_size) for number in range(KILLS)]
    assert "step_00000036" not in reached[:1], "the run ended before the first kill"
    run_distributed(run_and_write_log, world_size, killed)
    ours, theirs = LocalReporter(killed).latest(), LocalReporter(whole).latest()
    assert ours is not None
    assert theirs is not None
    assert differences(read_checkpoint(ours), read_checkpoint(theirs)) == [], f"killed at {reached}"
    assert LocalReporter(killed).history() == LocalReporter(whole).history()
    assert log_of(killed) == log_of(whole)
    assert not list((killed / "checkpoints").glob(".*"))
