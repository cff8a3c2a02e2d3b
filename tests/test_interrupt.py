"""Ctrl-C: one line that says what is kept and how to go on, and 130."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rayseg.errors import Interrupted
from rayseg.launch.interrupt import calm_interrupt


def test_an_interrupt_says_what_is_kept_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "/bin/rayseg", "sweep", "my base.yaml"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    directory = tmp_path / "ohem"
    for name in ("baseline", "t1"):
        (directory / f"ohem-{name}").mkdir(parents=True)
        (directory / f"ohem-{name}" / "metrics.jsonl").touch()
    with pytest.raises(Interrupted) as told, calm_interrupt(tmp_path), calm_interrupt(directory, named=False):
        raise KeyboardInterrupt
    kept = f"interrupted; 2 trials with scores are kept in {directory}. To go on:\n"
    assert str(told.value) == f"{kept}    rayseg sweep 'my base.yaml' tracking.name=ohem"


def test_a_script_that_nobody_guards_ends_with_that_line_and_130(tmp_path: Path) -> None:
    script = tmp_path / "search.py"
    script.write_text(
        "from pathlib import Path\nfrom rayseg.launch.interrupt import calm_interrupt\n"
        "with calm_interrupt(Path('runs/ohem')):\n    raise KeyboardInterrupt\n"
    )
    done = subprocess.run([sys.executable, script, "--smoke"], capture_output=True, text=True, check=False)
    told = f"interrupted; what was done is kept in runs/ohem. To go on:\n    python {script} --smoke\n"
    assert (done.returncode, done.stderr) == (130, told)
