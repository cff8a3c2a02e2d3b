"""Where hooks are called, in which order, and how one of them ends a run."""

from __future__ import annotations

import math
import operator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rayseg.build import assemble
from rayseg.config.values import PriorityName
from rayseg.engine import EarlyStopping, Fit, LocalReporter, Plan, fit
from rayseg.engine.hooks import POINTS, PRIORITIES
from rayseg.errors import ConfigError
from tests.engine.runs import Log, Stopped, compare, finish, full, into, start, stop


class Diary:
    """Writes down where it was called, with the step and the epoch."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, point: str) -> Any:
        if point not in POINTS:
            raise AttributeError(point)
        return partial(self._called, point)

    def _called(self, point: str, run: Fit, *more: Any) -> None:
        epoch = f" of {more[0]}" if point.endswith("_epoch") else ""
        self.calls.append(f"{point}{epoch} at {run.state.step}")


def test_every_point_is_called_where_it_is_drawn(tmp_path: Path) -> None:
    diary = Diary()
    config = full(**{"train.steps": 4, "eval.every": 3, "checkpoint.every": 2, "eval.at_end": False})
    fit(start(config, tmp_path, hooks={"diary": diary}))  # ten images in batches of four
    assert diary.calls == [
        *(
            "on_start at 0",
            "before_epoch of 0 at 0",
            "before_step at 0",
            "after_step at 1",
            "before_step at 1",
            "after_step at 2",
        ),
        *("before_checkpoint at 2", "on_checkpoint at 2", "before_step at 2", "after_step at 3", "after_epoch of 0 at 3"),
        *("before_eval at 3", "on_eval at 3", "before_epoch of 1 at 3", "before_step at 3", "after_step at 4"),
        *("before_checkpoint at 4", "on_checkpoint at 4", "on_end at 4"),
    ]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(1, 60))
def test_epochs_are_those_of_the_sample_stream(batch: int, images: int, steps: int) -> None:
    plan = Plan(total_steps=steps, eval_every=1, images_per_step=batch, images_per_epoch=images)
    drawn = 0
    for step in range(steps):
        assert plan.epoch(step) == drawn // images
        assert plan.begins_epoch(step) == (step == 0 or (drawn - batch) // images != drawn // images)
        drawn += batch


def test_a_resumed_run_calls_what_the_uninterrupted_one_calls(tmp_path: Path) -> None:
    config = full(**{"train.steps": 8, "eval.every": 3, "checkpoint.every": 1})
    whole = Diary()
    fit(start(config, tmp_path / "whole", hooks={"diary": whole}))
    for after in (2, 3, 6):  # within an epoch, at the end of one, at an evaluation
        folder = tmp_path / str(after)
        stop(config, folder, after + 1)
        rest = Diary()
        fit(start(config, folder, hooks={"diary": rest}))
        expected = whole.calls[whole.calls.index(f"on_checkpoint at {after}") + 1 :]
        assert rest.calls == [f"on_start at {after}", *expected]


class Named:
    """A hook that says its name."""

    said: list[str] = []  # noqa: RUF012 - shared on purpose

    def __init__(self, name: str, own: int | None = None) -> None:
        self.name = name
        if own is not None:
            self.priority = own

    def on_start(self, _: Fit) -> None:
        self.said.append(self.name)


def test_hooks_are_called_by_priority_and_in_the_order_of_the_config(tmp_path: Path) -> None:
    written = {"a": None, "b": "LOW", "c": 10, "d": "NORMAL", "e": "VERY_HIGH", "f": None}
    hooks = {name: {"type": "named", "name": name, "priority": priority} for name, priority in written.items()}
    hooks["f"]["own"] = 5
    Named.said.clear()
    config = full(**{"train.steps": 1, "hooks": hooks})
    fit(assemble(config, LocalReporter(tmp_path), {"named": Named}).fit)
    assert Named.said == ["f", "c", "e", "a", "d", "b"]
    assert tuple(PRIORITIES) == get_args(PriorityName)


class StopsAt:
    """Asks for the end after some step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def after_step(self, run: Fit, _: object) -> None:
        if run.state.step == self.step:
            run.stop("enough")
            run.stop("more than enough")


@pytest.mark.parametrize(("asked", "ended"), [(2, 3), (3, 3), (4, 4)])
def test_a_run_that_is_stopped_ends_where_something_is_published_and_is_whole(tmp_path: Path, asked: int, ended: int) -> None:
    config = full(**{"train.steps": 9, "train.log_every": 3, "eval.every": 4, "checkpoint.every": 9})
    logged: Log = {}
    run = start(config, tmp_path, into(logged), {"stops": StopsAt(asked)})
    metrics = fit(run)
    assert (run.state.step, run.state.stopped, run.ended) == (ended, "enough", True)
    assert max(logged) == ended
    assert {"train/loss", "val/mIoU"} < logged[ended].keys()
    assert run.reporter.latest() == LocalReporter(tmp_path).staging(ended)
    again = start(config, tmp_path, hooks={"diary": (diary := Diary())})
    assert fit(again) == metrics
    assert again.state.stopped == "enough"
    assert diary.calls == [f"on_start at {ended}", f"on_end at {ended}"]


class Remarks:
    def on_eval(self, _: Fit, metrics: dict[str, Any]) -> None:
        metrics["val/remark"] = "good"


def test_a_metric_that_is_no_number_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="on_eval put a str under 'val/remark'; expected a number"):
        fit(start(full(**{"train.steps": 1}), tmp_path, hooks={"remarks": Remarks()}))


def test_a_kill_before_the_last_report_of_a_stopped_run_loses_no_evaluation(tmp_path: Path) -> None:
    config = full(**{"train.steps": 9, "train.log_every": 3, "eval.every": 8, "checkpoint.every": 9})
    metrics = fit(start(config, tmp_path, hooks={"stops": StopsAt(3)}))
    (tmp_path / "metrics.jsonl").unlink()
    again = start(config, tmp_path)
    assert fit(again) == metrics
    assert LocalReporter(tmp_path).history() == [(3, metrics)]


def test_without_an_evaluation_at_the_end_a_stopped_run_has_none(tmp_path: Path) -> None:
    config = full(**{"train.steps": 9, "train.log_every": 3, "eval.every": 8, "eval.at_end": False, "checkpoint.every": None})
    run = start(config, tmp_path, hooks={"stops": StopsAt(3)})
    assert fit(run) == {}
    assert run.reporter.latest() == LocalReporter(tmp_path).staging(3)


def by_mmengine(values: list[float], rule: str, patience: int, min_delta: float, threshold: float | None) -> int | None:
    """At which value mmengine's EarlyStoppingHook sets stop_training (its ``_check_stop_condition``, in its words)."""
    better = operator.gt if rule == "greater" else operator.lt
    signed = min_delta if rule == "greater" else -min_delta
    best_score, wait_count = (-math.inf if rule == "greater" else math.inf), 0
    for number, current in enumerate(values):
        if not math.isfinite(current) or (threshold is not None and better(current, threshold)):
            return number
        if better(current - signed, best_score):
            best_score, wait_count = current, 0
        else:
            wait_count += 1
            if wait_count >= patience:
                return number
    return None


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*(n / 12 for n in range(1, 12)), math.nan]), max_size=15),
    st.sampled_from(["max", "min"]),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.1, 0.25]),
    st.sampled_from([None, None, 0.1, 0.9]),
)
@example([0.5, 0.4, 0.6, 0.5, 0.6, 0.7], "max", 2, 0.0, None)
def test_early_stopping_stops_where_mmengine_does(
    values: list[float], mode: Any, patience: int, min_delta: float, threshold: float | None
) -> None:
    hook = EarlyStopping(mode=mode, patience=patience, min_delta=min_delta, threshold=threshold)
    reasons = [hook.reason(value) for value in values]
    ours = next((number for number, reason in enumerate(reasons) if reason is not None), None)
    rule = "greater" if mode == "max" else "less"
    assert ours == by_mmengine(values, rule, patience, min_delta, threshold)


STOPPING = {
    "hooks.early": {"type": "early_stopping", "patience": 2, "min_delta": 10.0},
    "train.steps": 9,
    "eval.every": 2,
    "checkpoint.every": 1,
    "train.log_every": 100,
}


def test_an_early_stopped_run_resumes_to_the_bit_and_does_not_go_on(tmp_path: Path) -> None:
    config = full(**STOPPING)
    whole = finish(config, tmp_path / "whole")
    assert (whole.state["step"], whole.state["stopped"][:24]) == (6, "val/mIoU did not improve")
    logged: Log = {}
    stop(config, tmp_path / "stopped", 4, logged)
    assert compare(finish(config, tmp_path / "stopped", logged), whole) == []
    run = start(config, tmp_path / "stopped", hooks={"forbidden": Forbidden()})
    assert fit(run) == whole.returned


class Forbidden:
    """No step may be taken."""

    def before_step(self, _: Fit) -> None:
        raise Stopped


def test_a_metric_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    config = full(**{**STOPPING, "hooks.early.monitor": "val/other", "hooks.early.mode": "max"})
    with pytest.raises(ConfigError, match=r"no metric is called 'val/other'; there are val/mIoU"):
        fit(start(config, tmp_path))
