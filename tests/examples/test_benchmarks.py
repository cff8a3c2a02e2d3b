"""Benchmarks run, and what they compare agrees; nothing is asserted about time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.examples
ROOT = Path(__file__).resolve().parents[2]


def test_the_ways_to_compute_a_loss_agree() -> None:
    command = [sys.executable, "experiments/benchmarks/loss.py", "--smoke"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "plain" in done.stdout
    assert "strips" in done.stdout
