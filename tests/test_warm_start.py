"""What a search may begin with: trials of earlier ones that would be trials of this one, and budgets in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rayseg.build import data_digests
from rayseg.config import ExperimentConfig, write_yaml
from rayseg.errors import ConfigError
from rayseg.launch.budget import Budget, Spent, read_seconds
from rayseg.launch.objectives import read_objectives
from rayseg.launch.request import SweepRequest
from rayseg.launch.warm import warm_start
from rayseg.report import on_front
from rayseg.space import Space, log_uniform, ohem
from rayseg.testing import tiny_experiment

SPACE: Space = {"optim.lr": log_uniform(1e-4, 1e-1), "sampling": ohem(min_kept=0.1)}


def _request(storage: Path, **changed: Any) -> SweepRequest:
    base = tiny_experiment(**{"tracking.storage": str(storage), "tracking.name": "new"})
    asked: dict[str, Any] = {"base": base, "space": SPACE, "metric": "val/mIoU", "mode": "max", "num_samples": 2}
    asked |= {"searcher": "optuna", "scheduler": None, "baseline": {}, "max_concurrent": None, "grace_steps": None}
    return SweepRequest(**{**asked, "components": {}, "warm_start": ("old",), **changed})


def _earlier(storage: Path, trials: list[tuple[dict[str, Any], str]], **provenance: Any) -> ExperimentConfig:
    """The files of a search that has ended, as far as they are read."""
    base = tiny_experiment()
    rows = []
    for number, (changed, status) in enumerate(trials):
        (storage / "old" / f"old-t{number}").mkdir(parents=True)
        own = {"tracking.name": f"t{number}", "seed": 4, **changed}
        write_yaml(base.with_(own), storage / "old" / f"old-t{number}" / "config.yaml")
        row = {"trial": f"t{number}", "status": status, "directory": f"/elsewhere/old-t{number}", "val/mIoU": 0.1 * number}
        rows.append({**row, "val/IoU/a": 0.5, "val/IoU/b": 0.25})
    (storage / "old" / "summary.json").write_text(json.dumps({"table": rows}))
    (storage / "old" / "provenance.json").write_text(json.dumps([{"data": data_digests(base), **provenance}]))
    return base


def test_trials_that_would_be_trials_of_this_search_are_taken_and_the_others_told(tmp_path: Path) -> None:
    on = {"sampling": {"type": "ohem", "thresh": 0.75, "min_kept": 0.1}}
    trials: list[tuple[dict[str, Any], str]] = [
        ({"optim.lr": 0.01}, "full"),
        ({"optim.lr": 0.02, **on}, "full"),
        ({"optim.lr": 0.03}, "stopped early"),
        ({"optim.lr": 0.5}, "full"),
        ({"optim.lr": 0.01, "train.steps": 4}, "full"),
        ({"optim.lr": 0.01, "sampling": {"type": "ohem", "thresh": 0.75, "min_kept": 0.2}}, "full"),
    ]
    _earlier(tmp_path, trials)
    found = warm_start(_request(tmp_path))
    assert [drawn["optim.lr"] for drawn, _ in found.known] == [0.01, 0.02]
    assert [scores for _, scores in found.known] == [[0.0], [0.1]]
    assert found.known[1][0]["sampling.thresh (ohem)"] == 0.75
    told = "warm start: 2 of 6 trials of old (not: 1 stopped early, 2 outside the space, 1 with other train.steps)"
    assert found.told == told
    both = warm_start(_request(tmp_path, others=(("val/worst_IoU", "max"),)))
    assert [scores for _, scores in both.known] == [[0.0, 0.25], [0.1, 0.25]]
    path = warm_start(_request(tmp_path / "elsewhere", warm_start=(str(tmp_path / "old"),)))
    assert path.known == found.known
    twice = warm_start(_request(tmp_path, warm_start=("old", str(tmp_path / "old"))))
    assert twice.known == found.known
    assert twice.told.endswith(
        f"0 of 6 trials of {tmp_path / 'old'} (not: 1 stopped early, 2 outside the space, 1 with other "
        "train.steps, 2 known already)"
    )


def test_a_member_of_a_population_whose_weights_are_of_other_recipes_is_left_out(tmp_path: Path) -> None:
    _earlier(tmp_path, [({"optim.lr": 0.01}, "full"), ({"optim.lr": 0.02}, "full")])
    first = {"run": "t0", "interval": 0, "start": 0, "until": 2, "donor": None, "recipe": {"optim.lr": 0.01}, "score": 0.1}
    then = {**first, "run": "t1", "interval": 1, "start": 2, "until": 4, "donor": "t0", "recipe": {"optim.lr": 0.02}}
    (tmp_path / "old" / "population.json").write_text(json.dumps([first, {**first, "interval": 1}, then]))
    found = warm_start(_request(tmp_path))
    assert [drawn["optim.lr"] for drawn, _ in found.known] == [0.01]
    assert found.told == "warm start: 1 of 2 trials of old (not: 1 with weights of another recipe)"


def test_a_search_of_which_nothing_can_be_compared_is_refused(tmp_path: Path) -> None:
    _earlier(tmp_path, [({"optim.lr": 0.01}, "full")], data={"train": "x", "val": "y"})
    with pytest.raises(ConfigError, match="warm_start: none of the 1 trials of 'old' can be compared: 1 of other data"):
        warm_start(_request(tmp_path))
    with pytest.raises(ConfigError, match="warm_start: no search 'gone': neither a directory"):
        warm_start(_request(tmp_path, warm_start=("gone",)))
    assert warm_start(_request(tmp_path, warm_start=())).told == ""


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"searcher": "random"}, "warm_start: 'random' does not learn from scores; use optuna or gp"),
        ({"searcher": "gp"}, r"searcher: gp needs every dimension.*sampling.thresh \(ohem\) is there in some only"),
        ({"others": (("val/mAcc", "max"),), "scheduler": "asha"}, "scheduler: 'asha' judges trials by one score"),
        ({"others": (("val/mAcc", "max"),), "searcher": "gp"}, "searcher: gp models one score"),
        ({"others": (("val/mAc", "max"),)}, r"metric: no metric is called 'val/mAc'"),
        ({"budget": Budget(device_hours=0.0)}, "gpu_hours: got 0.0; give more than 0"),
        ({"budget": Budget(seconds=9.0), "scheduler": "pbt", "searcher": "random"}, "time_budget: has no meaning with 'pbt'"),
        ({"searcher": "grid", "warm_start": ()}, "optim.lr: a grid needs values"),
    ],
)
def test_what_cannot_be_asked_together_is_told_before_a_start(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    pytest.importorskip("optuna")
    from rayseg.launch.request import preflight

    with pytest.raises(ConfigError, match=told):
        preflight(replace(_request(tmp_path), **changed))


def test_lengths_of_time_are_read() -> None:
    assert [read_seconds(each) for each in ("90", "90s", "1.5m", "2h", "1d", 30)] == [90, 90, 90, 7200, 86400, 30]
    for wrong in ("soon", "-1h", "0", "", "2 weeks"):
        with pytest.raises(ConfigError, match="time_budget: got"):
            read_seconds(wrong)
    assert Budget(device_hours=0.5).spent_by(Spent(device_seconds=1800.0))
    assert not Budget(seconds=5, device_hours=0.5).spent_by(Spent(seconds=4.0, device_seconds=1799.0))


def test_objectives_have_directions_and_the_front_is_what_nothing_beats() -> None:
    first = ("val/loss", "min")
    found = read_objectives(["val/loss", "perf/step_s", "val/worst_IoU"], None, ("val/loss", "min"))
    assert found == (first, ("perf/step_s", "min"), ("val/worst_IoU", "max"))
    for metric, mode in ((["a", "a"], None), (["a"], ["max", "min"]), ([], None)):
        with pytest.raises(ConfigError, match="metric: got"):
            read_objectives(metric, mode, ("val/mIoU", "max"))
    scores = [(0.7, 2.0), (0.6, 1.0), (0.6, 2.0), (0.7, 2.0)]
    assert on_front(scores, ["max", "min"]) == [True, True, False, True]
    assert on_front([], ["max"]) == []
