"""What a sweep's table says of its keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rayseg.config import ExperimentConfig
from rayseg.engine.history import History
from rayseg.errors import RaysegError
from rayseg.launch import SweepResult
from rayseg.launch.trial_effects import population_effects, trial_effects


def _table(folder: Path, trials: int) -> list[dict[str, Any]]:
    """Trials whose score at step 10 falls with the rate; later ones, which not all came to, say the opposite."""
    rows: list[dict[str, Any]] = [{"trial": "baseline", "rank": 1, "lr": None, "directory": str(folder / "none")}]
    for number in range(trials):
        history = History(folder / str(number) / "metrics.jsonl")
        history.record(10, {"val/mIoU": 0.5 - 0.01 * number})
        if number % 2:
            history.record(20, {"val/mIoU": 0.5 + 0.05 * number})
        rows.append({"trial": str(number), "rank": 2, "lr": 0.01 * 2**number, "directory": str(folder / str(number))})
    return [*rows, {"trial": "x", "rank": None, "lr": 1.0, "directory": str(folder / "none")}]


def test_trials_are_compared_at_the_last_step_that_all_came_to(tmp_path: Path) -> None:
    found = trial_effects(_table(tmp_path, 9), ["lr"], "val/mIoU", "max")
    assert (found.step, found.trials, found.keys[0].best) == (10, 9, "less")
    assert trial_effects(_table(tmp_path, 9), ["lr"], "val/mIoU", "min").keys[0].best == "more"
    assert "lr          1" in str(found)


def _segments(members: int) -> list[dict[str, Any]]:
    """A population whose scores fall with the rate until the first comparison, and rise with it afterwards."""
    recipes = [{"lr": 0.01 * 2**number} for number in range(members)]
    first: list[dict[str, Any]] = [
        {"interval": 0, "until": 9, "recipe": recipe, "score": 0.5 - 0.01 * number, "run": f"m{number}"}
        for number, recipe in enumerate(recipes)
    ]
    return [*first, *({**each, "interval": 1, "until": 18, "score": 1 - each["score"]} for each in first)]


def test_members_of_a_population_are_compared_before_any_was_replaced(tmp_path: Path) -> None:
    found = population_effects(_segments(9), ["lr"], "val/mIoU", "max")
    assert (found.step, found.trials, found.keys[0].best) == (9, 9, "less")
    assert population_effects(_segments(9), ["lr"], "val/mIoU", "min").keys[0].best == "more"
    assert "in 9 members, none of which had been replaced yet" in str(found)
    with pytest.raises(RaysegError, match="7 trials are too few"):
        population_effects(_segments(7), ["lr"], "val/mIoU", "max")
    rows = [{"trial": f"m{number}", "lineage": "", "directory": "/elsewhere"} for number in range(9)]
    (tmp_path / "population.json").write_text(json.dumps(_segments(9)))
    result = SweepResult(ExperimentConfig(), {}, 18, "m0", rows, None, tmp_path, 1.0, "val/mIoU", ("lr",))
    assert result.effects() == found


def test_few_trials_and_other_scores_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RaysegError, match="5 trials are too few"):
        trial_effects(_table(tmp_path, 5), ["lr"], "val/mIoU", "max")
    with pytest.raises(RaysegError, match="no evaluation of val/loss at one step"):
        trial_effects(_table(tmp_path, 9), ["lr"], "val/loss", "max")


def test_every_evaluation_is_there_wherever_the_sweep_lies_now(tmp_path: Path) -> None:
    table = _table(tmp_path / "sweep", 2)
    moved = (tmp_path / "sweep").rename(tmp_path / "moved")
    found = SweepResult(ExperimentConfig(), {}, 10, "0", table, None, moved, 1.0, "val/mIoU", ("lr",))
    assert found.curves() == {
        "baseline": [],
        "0": [(10, {"val/mIoU": 0.5})],
        "1": [(10, {"val/mIoU": 0.49}), (20, {"val/mIoU": 0.55})],
        "x": [],
    }
