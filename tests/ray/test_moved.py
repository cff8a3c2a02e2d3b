"""A search that was stopped, and moved before it goes on: what Tune kept of it looks where it lies now."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import ray
from rayseg.engine.history import History
from rayseg.engine.plan import Plan
from rayseg.launch.budget import Budget, Spent, read_spent
from rayseg.launch.ending import make_scheduler
from rayseg.launch.meter import Meter, limited
from rayseg.launch.searchers import AskedSearch
from rayseg.launch.whereabouts import working_in
from rayseg.space import Listed

pytestmark = pytest.mark.ray


@dataclass(frozen=True, eq=False)
class _Trial:
    """What Tune's parts want of a trial."""

    trial_id: str = "t9"
    status: str = "RUNNING"
    config: dict[str, Any] = field(default_factory=lambda: {"point": {}})


def _went_on(kept: Any, now: Path) -> Any:
    """As Tune reads it from its file when a search goes on in a directory."""
    data = ray.cloudpickle.dumps(kept)
    with working_in(str(now)):
        return ray.cloudpickle.loads(data)


def test_the_budget_holds_where_a_search_lies_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = _went_on(Meter("/old/ohem"), tmp_path)
    stops: list[int] = []
    monkeypatch.setattr("signal.raise_signal", stops.append)
    with limited(tmp_path, Budget(seconds=1e-9), 1.0):
        for now in (10.0, 12.0):
            monkeypatch.setattr("time.monotonic", lambda now=now: now)
            meter.on_step_end(1, [_Trial()])
    assert read_spent(tmp_path) == Spent(2.0, 2.0, out=True, unfinished=("t9",))
    assert len(stops) == 1


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_bad_trials_are_ended_by_what_was_seen_before_the_move(tmp_path: Path, scheduler: Any) -> None:
    for name in ("t0", "t1", "t2", "t3"):
        for step in (1, 2, 3):
            History(tmp_path / f"{tmp_path.name}-{name}" / "metrics.jsonl").record(step, {"val/mIoU": 0.5})
    judge = _went_on(make_scheduler(scheduler, Plan(total_steps=9, eval_every=1), None, "/old/ohem"), tmp_path)
    judge.set_search_properties("val/mIoU", "max")
    judge.on_trial_add(None, _Trial())
    assert "STOP" in [judge.on_trial_result(None, _Trial(), {"step": step, "val/mIoU": 0.1}) for step in (1, 2, 3)]


def test_a_searcher_reads_what_its_trials_wrote_where_they_lie_now(tmp_path: Path) -> None:
    search = AskedSearch(None, Listed([{"a": 1}]), ["val/mIoU"], "max", 9, "/old/ohem")
    search.save(str(tmp_path / "state"))
    again = AskedSearch(None, Listed([]), ["val/mIoU"], "max", 9, "/old/ohem")
    with working_in(str(tmp_path)):
        again.restore(str(tmp_path / "state"))
    assert again.suggest("t1") == {"point": {"a": 1}}
    assert again._directory == str(tmp_path)
