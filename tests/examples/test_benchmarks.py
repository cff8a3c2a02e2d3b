"""Benchmarks run, and what they compare agrees; nothing is asserted about time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.examples.scripts import printed_by

pytestmark = pytest.mark.examples
ROOT = Path(__file__).resolve().parents[2]


BENCHMARKS = ROOT / "experiments" / "benchmarks"


def run(name: str, *words: str) -> str:
    """What a benchmark prints."""
    return printed_by(BENCHMARKS / f"{name}.py", *words, cwd=ROOT)


def run_alone(name: str, *words: str) -> str:
    """The same in a process of its own."""
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *words]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_ways_to_read_a_sample_agree() -> None:
    printed = run("input", "--smoke")
    assert all(f"| smoke | {way} | 1 |" in printed for way in ("plain", "files", "arrow", "kept"))


def test_the_ways_to_compute_a_loss_agree(tmp_path: Path) -> None:
    printed = run("loss", "--smoke", "--out", str(tmp_path / "loss.json"), "--png", str(tmp_path / "loss.png"))
    assert "| smoke | plain | 1 |" in printed
    assert "| smoke | strips | 1 |" in printed
    assert (tmp_path / "loss.png").stat().st_size > 1000


def test_what_a_person_with_a_card_runs_agrees_under_the_interpreter_where_there_is_none(tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    printed = run_alone("loss", "--device", "cuda", "--smoke", "--out", str(tmp_path / "loss_cuda.json"))
    assert "| smoke | triton |" in printed
    assert "| smoke, bf16 | triton |" in printed


def test_what_is_measured_of_scores_and_input_on_a_card_agrees_where_there_is_none() -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    assert "| smoke | triton |" in run_alone(
        "evaluation_cuda", "--smoke"
    )  # Triton is interpreted where nothing imported it before
    assert "| smoke | batch |" in run("input_cuda", "--smoke")


def test_the_step_of_torchvisions_reference_and_that_of_the_loop_lose_the_same() -> None:
    printed = run("step_cuda", "--smoke", "--ways", "torchvision", "rayseg", "rayseg, graph")
    assert "| 2x32x32 | rayseg |" in printed


def test_the_ways_to_count_agree() -> None:
    printed = run("evaluation", "--smoke")
    assert "| smoke, logits | plain | 1 |" in printed
    assert "| smoke, logits | strips | 1 |" in printed


def test_searchers_are_compared_on_the_table_of_recipes(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    out = tmp_path / "searchers.json"
    printed = run("searchers", "--smoke", "--out", str(out), "--png", str(tmp_path / "searchers.png"))
    assert "| random | asha | 2 |" in printed
    found = json.loads(out.read_text())
    assert 0.01 < found["spread_between_seeds"] < 0.03
    assert all(low <= mean <= high for row in found["rows"] for low, mean, high in [row["regret_3"], row["regret_5"]])


@pytest.mark.usefixtures("ray_cluster")
def test_trials_of_all_patterns_end_with_the_same_losses() -> None:
    printed = run("trials", "--smoke")
    assert "| 2 trials | quick |" in printed
    assert "| 2 trials | rayseg |" in printed


def test_start_checkpoint_and_record_are_measured() -> None:
    printed = run("overheads", "--smoke")
    assert [printed.count(f"| {case} | ") for case in ("start", "checkpoint", "checkpoint under Ray")] == [3] * 3
    assert printed.count("| record, 200 steps | ") == 2


def test_both_loops_make_the_same_steps() -> None:
    printed = run("step", "--smoke")
    assert "| loop, smoke, 2 processes | rayseg | 1 |" in printed
    assert "| loop, smoke, a process each | rayseg | 1 |" in printed
    assert "| losses, smoke | plain | 1 |" in printed


def test_the_tables_of_the_documentation_are_those_of_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    page = import_module("page")
    found = page.results()
    texts = {file: file.read_text(encoding="utf-8") for file in page.PAGES}
    stale = [str(file.relative_to(ROOT)) for file, text in texts.items() if page.filled(text, found) != text]
    assert not stale, f"run experiments/benchmarks/page.py: {stale}"
    blocks = {block[1] for text in texts.values() for block in page.BLOCK.finditer(text)}
    assert found.keys() <= blocks, "results that no page shows"
