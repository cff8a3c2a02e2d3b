"""Drivers that are killed or interrupted: what goes on, what is recorded, what is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from rayseg.keeping import keeping_room

pytestmark = pytest.mark.chaos

ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("driver.py")
MARK = "RAYSEG_TEST_MARK"
START_S, END_S = 240, 30


@dataclass(frozen=True)
class Driver:
    """A process with everything that it started, known by a marker in the environment."""

    process: subprocess.Popen[bytes]
    mark: str
    log: Path

    def family(self) -> list[psutil.Process]:
        """Processes with the marker that still live."""
        found = []
        for each in psutil.process_iter():
            try:
                if each.environ().get(MARK) == self.mark and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(each)
            except psutil.Error:
                continue
        return found

    def wait_until(self, what: Callable[[], bool]) -> None:
        """Poll; fail when the driver ended before, or it takes too long."""
        deadline = time.monotonic() + START_S
        while not what():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def left_after(self, seconds: float) -> list[str]:
        """Processes that still live then, the last time that one looks."""
        deadline = time.monotonic() + seconds
        while self.family() and time.monotonic() < deadline:
            time.sleep(0.2)
        return [" ".join(each.cmdline())[:100] for each in self.family()]


@contextmanager
def driver(what: str, storage: Path) -> Iterator[Driver]:
    """Start it in a process group of its own; nothing of it lives afterwards."""
    mark = uuid.uuid4().hex
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    log = storage / f"{what}-{mark[:6]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(DRIVER), what, str(storage)],
            env={**kept, MARK: mark, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Driver(process, mark, log)
    try:
        yield running
    finally:
        for each in running.family():
            each.kill()
        process.kill()
        process.wait(timeout=30)


def _steps(directory: Path) -> int:
    path = directory / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return int(json.loads(lines[-1])["step"]) if lines else 0


def _trials(storage: Path) -> dict[str, int]:
    return {path.name: _steps(path) for path in (storage / "sweep").glob("sweep-*")}


def _runs(storage: Path) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    return list(client.search_runs([each.experiment_id for each in client.search_experiments()]))


def _interrupted(running: Driver) -> None:
    """Ctrl-C in a terminal goes to the whole group."""
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.process.wait(timeout=END_S) == 130, running.log.read_text()
    told = running.log.read_text()
    assert re.search(rf"(?:^|\n)interrupted; .* kept in .*\. To go on:\n    python {DRIVER} .*\n$", told), told
    assert not re.search("Traceback|KeyboardInterrupt|ray::", told), told
    assert not running.left_after(END_S)


def test_a_sweep_that_was_killed_goes_on(tmp_path: Path) -> None:
    def some_are_done() -> bool:
        steps = _trials(tmp_path).values()
        return 12 in steps and any(3 <= step < 12 for step in steps)

    with driver("sweep", tmp_path) as first:
        first.wait_until(some_are_done)
        first.process.send_signal(signal.SIGKILL)
        assert not first.left_after(END_S)
    shown = first.log.read_text()
    before = _trials(tmp_path)
    for run_id in (tmp_path / "sweep").glob("sweep-*/mlflow_run_id"):
        if not (tmp_path / "sweep" / "tune" / run_id.parent.name.removeprefix("sweep-") / "ended.json").is_file():
            run_id.unlink()  # as where the kill comes between the store and this file
    done = [name for name, step in before.items() if step == 12]
    files = {name: (tmp_path / "sweep" / name / "metrics.jsonl").read_text() for name in done}  # with the time of each step
    with driver("sweep", tmp_path) as second:
        assert second.process.wait(timeout=START_S) == 0, second.log.read_text()
        assert not second.left_after(END_S)
        text = second.log.read_text()
    assert {name: (tmp_path / "sweep" / name / "metrics.jsonl").read_text() for name in done} == files
    assert before.keys() <= _trials(tmp_path).keys()
    assert len(_trials(tmp_path)) == 4, "nothing is proposed again under another name"
    assert len(re.findall(r"\bfull\b", text)) == 4, text
    use = (r"\d+ trials? in .* an hour, .* at a time", r"training \d+% of that time, .*")
    ours = (r"", r"(MLflow|trials)  http\S+.*", r"trial +\d+/4  val/mIoU .*", r"rank .*", r" +\d+  .*", *use)
    others = [line for line in (shown + text).splitlines() if not any(re.fullmatch(pattern, line) for pattern in ours)]
    assert others == [], "nothing of others is on the terminal"
    children = [run for run in _runs(tmp_path) if run.info.run_name != "sweep"]
    assert sorted(run.info.run_name for run in children) == sorted(_trials(tmp_path))
    assert {run.info.status for run in _runs(tmp_path)} == {"FINISHED"}


def test_a_population_that_was_killed_goes_on_with_what_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "sweep" / "population.json"

    def ended() -> dict[tuple[str, int], Any]:
        rows = json.loads(path.read_text()) if path.is_file() else []
        return {(row["run"], row["interval"]): row for row in rows if row["score"] is not None}

    with driver("population", tmp_path) as first:
        first.wait_until(lambda: len(ended()) >= 3)  # in the second interval
        first.process.send_signal(signal.SIGKILL)
        assert not first.left_after(END_S)
    before = ended()
    with driver("population", tmp_path) as second:
        assert second.process.wait(timeout=START_S) == 0, second.log.read_text()
        assert not second.left_after(END_S)
    after = ended()
    assert {place: after[place] for place in before} == before
    assert sorted(interval for _, interval in after) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert any(row["donor"] is not None for row in after.values())
    assert {run.info.status for run in _runs(tmp_path)} == {"FINISHED"}


@pytest.mark.parametrize("what", ["sweep", "train"])
def test_ctrl_c_ends_everything(tmp_path: Path, what: str) -> None:
    with driver(what, tmp_path) as running:
        pattern = "sweep/sweep-*" if what == "sweep" else "run"
        running.wait_until(lambda: any(_steps(path) >= 3 for path in tmp_path.glob(pattern)))
        _interrupted(running)
    runs = _runs(tmp_path)
    assert runs
    assert {run.info.status for run in runs} == {"KILLED"}


def _kept_in_memory() -> set[str]:
    return {path.name for path in keeping_room()[0].glob("*rayseg-*")}


def test_a_trial_that_loses_its_node_goes_on_elsewhere_and_costs_nobody_else(tmp_path: Path) -> None:
    before = _kept_in_memory()
    with driver("node", tmp_path) as running:
        assert running.process.wait(timeout=START_S) == 0, running.log.read_text()
        text = running.log.read_text()
        assert not running.left_after(END_S)
    assert (tmp_path / "lost").exists()
    assert len(re.findall(r"\bfull\b", text)) == 2, text
    assert {run.info.status for run in _runs(tmp_path)} == {"FINISHED"}
    for path in (tmp_path / "sweep").glob("sweep-*/metrics.jsonl"):
        assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [3, 6, 9, 12]
    decoded = Counter((tmp_path / "decoded").read_text().splitlines())
    assert len({line.split()[0] for line in decoded}) == 2  # either node has its own
    assert {line: count for line, count in decoded.items() if count > 1 and not line.endswith(" 0")} == {}
    deadline = time.monotonic() + END_S
    while (left := _kept_in_memory() - before) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not left
