"""Who is ended early: a bad trial, also where the search had been stopped before; never the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rayseg.engine.history import History
from rayseg.engine.plan import Plan
from rayseg.launch.ending import make_scheduler

pytestmark = pytest.mark.ray
PLAN = Plan(total_steps=9, eval_every=1)


@dataclass(frozen=True, eq=False)
class _Trial:
    """What a scheduler of Tune wants of a trial."""

    trial_id: str
    config: dict[str, Any]


def _begun(scheduler: Any, directory: Path) -> Any:
    judge: Any = make_scheduler(scheduler, PLAN, None, str(directory))
    assert judge.set_search_properties("val/mIoU", "max")
    return judge


def _last_step(judge: Any, name: str, score: float, **point: Any) -> int:
    """At which step a trial of this score ends."""
    trial = _Trial(f"tune calls it {name}", {"point": {"trial": "baseline" if point else name, **point}})
    judge.on_trial_add(None, trial)
    for step in range(1, 9):
        if judge.on_trial_result(None, trial, {"step": step, "val/mIoU": score}) == "STOP":
            return step
    judge.on_trial_complete(None, trial, {"step": 9, "val/mIoU": score})
    return 9


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_the_baseline_runs_to_its_end_and_counts_among_the_others(tmp_path: Path, scheduler: str) -> None:
    judge = _begun(scheduler, tmp_path)
    for number in range(4):
        assert _last_step(judge, f"t{number}", 0.5 + 0.1 * number) == 9
    assert _last_step(judge, "t4", 0.1) < 9
    assert _last_step(judge, "t5", 0.1, baseline=True) == 9
    assert _last_step(judge, "t6", 0.05) < 9


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_a_search_that_goes_on_compares_with_what_it_has_seen(tmp_path: Path, scheduler: str) -> None:
    assert _last_step(_begun(scheduler, tmp_path), "t9", 0.2) == 9
    for name, score, steps in (("t0", 0.5, 9), ("t1", 0.6, 9), ("t2", 0.7, 3), ("t3", 0.4, 0), ("baseline", 0.8, 3)):
        for step in range(1, steps + 1):
            History(tmp_path / f"{tmp_path.name}-{name}" / "metrics.jsonl").record(step, {"val/mIoU": score})
    judge = _begun(scheduler, tmp_path)
    assert _last_step(judge, "t9", 0.2) < 9
    assert _last_step(judge, "t2", 0.7) == 9, "it goes on, and is not compared with itself"
    assert _last_step(judge, "t8", 0.8, baseline=True) == 9


def test_a_search_with_brackets_in_its_name_knows_what_it_has_seen(tmp_path: Path) -> None:
    place = tmp_path / "lr [1e-4, *]"
    for name in ("t0", "t1", "t2"):
        History(place / f"{place.name}-{name}" / "metrics.jsonl").record(2, {"val/mIoU": 0.5})
    assert _last_step(_begun("asha", place), "t9", 0.2) == 2
