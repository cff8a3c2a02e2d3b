"""What Ray's processes get is light: they import what they need themselves, and Train's controller needs nothing of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import ray.cloudpickle

from rayseg.launch.processes import for_workers, trial_function, worker_function
from rayseg.launch.run import RunInfo
from rayseg.launch.trial import TrialPlan
from rayseg.testing import tiny_experiment

pytestmark = pytest.mark.ray

UNPACKS = """
import pickle, sys
pickle.load(open(sys.argv[1], "rb"))
print(*[name for name in ("torch", "pydantic") if name in sys.modules])
"""


def test_a_process_that_unpacks_what_it_is_given_imports_no_tensors(tmp_path: Path) -> None:
    tree = tiny_experiment().to_dict()
    plan, info = TrialPlan(tree, "", None, None, {}, 6), RunInfo(tree, "")
    given = (trial_function(plan), worker_function, for_workers(info, None, None))
    (tmp_path / "given").write_bytes(ray.cloudpickle.dumps(given))
    done = subprocess.run([sys.executable, "-c", UNPACKS, tmp_path / "given"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
