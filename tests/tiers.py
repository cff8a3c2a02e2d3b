"""Run every tier that this machine can, cheapest first, and close with one summary.

A test belongs to the last tier whose marker it bears; a test without one belongs to the default tier. ``python tests/tiers.py
dist ray`` runs only those.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
MARKERS = ("dist", "tracking", "ray", "chaos", "examples", "triton", "gpu")
TIERS = ("default", "doctest", *MARKERS)
#: What is slow to import, or starts processes, left out of the default tier's doctests.
HEAVY = ("rayseg/launch", "rayseg/testing.py", "rayseg/tracking/mlflow")
#: The same, and an extra: module -> the package that it needs.
EXTRA = {"rayseg/tracking/tensorboard.py": "tensorboard"}
NO_TESTS = 5
#: Of the default tier, whose tests share nothing that they write. Each imports torch, so more of them gain little.
PROCESSES = 4


def arguments(tier: str) -> list[str]:
    """What pytest is told for a tier."""
    if tier == "default":
        return ["-n", str(min(os.cpu_count() or 1, PROCESSES)), "--dist", "loadfile"]
    if tier == "doctest":
        heavy = [*HEAVY, *(path for path, package in EXTRA.items() if find_spec(package) is not None)]
        return ["-o", "addopts=--doctest-modules --import-mode=importlib -q", *heavy]
    later = MARKERS[MARKERS.index(tier) + 1 :]
    return ["tests", "-m", f"{tier} and not ({' or '.join(later)})" if later else tier]


def counts(report: Path) -> Counter[str]:
    """Tests by outcome in a JUnit report; nothing when there is no report."""
    if not report.exists():
        return Counter()
    suites = list(ET.parse(report).getroot().iter("testsuite"))
    total, failed, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites for name in names)
        for names in (("tests",), ("failures", "errors"), ("skipped",))
    )
    return Counter(passed=total - failed - skipped, failed=failed, skipped=skipped)


def run(tier: str, folder: Path) -> tuple[int, Counter[str]]:
    """Exit status of a tier (0 also for an empty one) and its counts."""
    report = folder / f"{tier}.xml"
    command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments(tier)]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    return (0 if status == NO_TESTS else status), counts(report)


def main(tiers: Sequence[str]) -> int:
    """Run the tiers in turn; 1 if any of them failed."""
    rows, total, worst = [], Counter(passed=0, failed=0, skipped=0), 0
    with tempfile.TemporaryDirectory() as folder:
        for tier in tiers or TIERS:
            print(f"\n== {tier} ==", flush=True)
            start = time.monotonic()
            status, outcome = run(tier, Path(folder))
            total.update(outcome)
            worst = worst or int(status != 0)
            rows.append(
                f"{tier:<10} {'ok' if status == 0 else f'FAILED (exit {status})':<16} {outcome['passed']:>5} passed "
                f"{outcome['failed']:>4} failed {outcome['skipped']:>4} skipped {time.monotonic() - start:>7.0f} s"
            )
    print("\n== summary ==", *rows, "", sep="\n")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
