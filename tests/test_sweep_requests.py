"""What a search refuses before it starts: words and numbers that nothing reads, and a baseline of another length."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rayseg
from rayseg.errors import ConfigError
from rayseg.launch.budget import Budget
from rayseg.launch.request import SweepRequest, preflight, same_search
from rayseg.space import choice, log_uniform, ohem, uniform, when
from rayseg.testing import tiny_experiment


def _request(storage: Path, **changed: Any) -> SweepRequest:
    base = tiny_experiment(**{"tracking.storage": str(storage), "tracking.name": "asked"})
    request = SweepRequest(
        base, {"optim.lr": log_uniform(1e-4, 1e-2)}, "val/mIoU", "max", 2, "random", "asha", {}, None, None, {}
    )
    return replace(request, **changed)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"searcher": "tpe"}, "searcher: got 'tpe'; expected one of random, grid, optuna, gp"),
        ({"scheduler": "hyperband"}, "scheduler: got 'hyperband'; expected one of asha, median, pbt, pb2, None"),
        ({"scheduler": None, "grace_steps": 3}, "grace_steps: has no meaning without a scheduler"),
        ({"grace_steps": -3}, "grace_steps: got -3; a run has 6 steps"),
        ({"scheduler": "median", "grace_steps": 6}, "grace_steps: got 6; .*give 1 to 5"),
        ({"num_samples": 2.5}, "num_samples: got 2.5; give a whole number"),
        ({"budget": Budget(device_hours=float("nan"))}, "gpu_hours: got nan; give more than 0"),
        ({"baseline": {"train.steps": 60}}, "train.steps: cannot be changed in the baseline: trials are compared"),
        ({"baseline": {"scaling.workers": 2}}, "scaling.workers: cannot be changed in the baseline: it belongs"),
    ],
)
def test_what_would_do_nothing_or_something_else_is_refused(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        preflight(_request(tmp_path, **changed))


def test_a_value_that_two_keys_draw_is_refused_and_one_beside_a_section_is_not(tmp_path: Path) -> None:
    section = choice([None, {"type": "ohem", "thresh": 0.7}])
    on = {"sampling.type": "ohem"}
    with pytest.raises(
        ConfigError, match=r"sampling.thresh: is set by sampling too, where that is \{'type': 'ohem', 'thresh': 0.7\}"
    ):
        preflight(_request(tmp_path, space={"sampling": section, "sampling.thresh": when(on, uniform(0.5, 0.9))}))
    with pytest.raises(ConfigError, match=r"sampling.thresh: sampling.thresh is drawn already by another key of the space"):
        preflight(_request(tmp_path, space={"sampling": ohem(), "sampling.thresh": when(on, uniform(0.5, 0.9))}))
    preflight(_request(tmp_path, space={"sampling": section, "sampling.min_kept": when(on, uniform(0.1, 0.2))}))


def test_a_number_of_trials_beside_a_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_samples: got 1; a grid has as many trials as points"):
        rayseg.sweep(_request(tmp_path).base, {"optim.lr": choice([1e-3, 1e-2])}, searcher="grid", num_samples=1)


def test_a_search_that_goes_on_otherwise_is_told_in_what_also_where_something_is_left_out(tmp_path: Path) -> None:
    first = _request(tmp_path, scheduler="pbt", perturb_every=3)
    same_search(first, tmp_path)
    same_search(replace(first, max_concurrent=1, budget=Budget(seconds=9.0)), tmp_path)
    for changed, told in (({"perturb_every": None}, "another perturb_every;"), ({"grace_steps": 3}, "another grace_steps;")):
        with pytest.raises(ConfigError, match=told):
            same_search(replace(first, **changed), tmp_path)
