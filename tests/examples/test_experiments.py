"""Experiments that need no cluster, small and short."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.examples

ROOT = Path(__file__).resolve().parents[2]


def test_fine_tuning_prints_a_line_for_each_recipe_and_can_be_asked_again(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "experiments" / "finetune.py"), "--smoke", "--storage", str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    first, again = (
        subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
        for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", first.stdout, re.MULTILINE)
    assert [name for name, *_ in rows] == ["from scratch", "other data, frozen first"]
    assert again.stdout == first.stdout
