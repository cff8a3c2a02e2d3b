"""The small parts of the loop, each alone."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rayseg.build import assemble
from rayseg.engine import FiniteGuard, LocalReporter, Meter, Plan, fit
from rayseg.engine.generators import seed_everything, set_generators
from rayseg.engine.guard import check_weights
from rayseg.engine.hooks import POINTS, call_hooks, hook_states, restore_hooks
from rayseg.errors import CheckpointError, NonFiniteLossError
from rayseg.testing import tiny_experiment


def test_a_plan_says_when_to_evaluate_save_and_log() -> None:
    plan = Plan(total_steps=10, eval_every=4, checkpoint_every=3, log_every=6)
    steps = range(1, 11)
    assert [step for step in steps if plan.evaluates(step)] == [4, 8, 10]
    assert [step for step in steps if plan.saves(step)] == [3, 6, 9, 10]
    assert [step for step in steps if plan.logs(step)] == [6, 10]


def test_without_an_interval_of_its_own_a_checkpoint_comes_with_each_evaluation_and_at_the_end() -> None:
    plan = Plan(total_steps=10, eval_every=4, eval_at_end=False)
    assert [step for step in range(1, 11) if plan.evaluates(step)] == [4, 8]
    assert [step for step in range(1, 11) if plan.saves(step)] == [4, 8, 10]


@pytest.mark.parametrize(("mode", "score", "better"), [("max", 0.6, True), ("max", 0.5, False), ("min", 0.4, True)])
def test_better_is_strictly_better(mode: str, score: float, better: bool) -> None:
    plan = Plan(total_steps=1, eval_every=1, mode=mode)  # type: ignore[arg-type]
    assert plan.is_better(score, 0.5) is better
    assert plan.is_better(score, None)
    assert not plan.is_better(float("nan"), None)
    assert not plan.is_better(float("nan"), 0.5)


def test_a_meter_takes_the_mean_of_each_name_over_the_steps_that_had_it() -> None:
    meter = Meter()
    meter.add({"loss": torch.tensor(1.0)})
    meter.add({"loss": torch.tensor(3.0), "ohem/kept": torch.tensor(0.5)})
    assert meter.flush() == {"loss": 2.0, "ohem/kept": 0.5}
    assert meter.flush() == {}


def test_a_meter_that_was_saved_between_two_lines_goes_on() -> None:
    meter, other = Meter(), Meter()
    meter.add({"loss": torch.tensor(1.0)})
    other.load_state_dict(meter.state_dict())
    other.add({"loss": torch.tensor(4.0)})
    assert other.flush() == {"loss": 2.5}
    assert meter.flush() == {"loss": 1.0}


def parts(loss: float, **others: float) -> dict[str, Tensor]:
    return {"loss": torch.tensor(loss), **{name: torch.tensor(value) for name, value in others.items()}}


def test_the_guard_names_the_first_bad_step_its_terms_and_the_way_back() -> None:
    guard = FiniteGuard()
    for step, loss in enumerate([1.0, 2.0, float("inf"), float("nan"), 1.0]):
        guard.observe(step, parts(loss, ce=step + 0.5))
    with pytest.raises(NonFiniteLossError, match=r"step 2: .*loss = inf, ce = 2.5.*last good checkpoint is runs/a/step_1"):
        guard.check("runs/a/step_1")
    with pytest.raises(NonFiniteLossError, match="no checkpoint was written before it"):
        guard.check(None)


def test_the_guard_is_silent_while_all_is_finite_and_sees_the_gradient() -> None:
    guard = FiniteGuard()
    guard.check(None)
    guard.observe(0, parts(1.0))
    guard.check(None)
    guard.observe(1, parts(1.0, grad_norm=float("inf")))
    with pytest.raises(NonFiniteLossError, match=r"step 1: .*grad_norm = inf"):
        guard.check(None)


def test_weights_that_are_not_finite_are_named() -> None:
    last = nn.Linear(1, 1)
    model = nn.Sequential(nn.Linear(1, 1), last)
    check_weights(model, 3, None)
    nn.init.constant_(last.bias, float("nan"))
    with pytest.raises(NonFiniteLossError, match=r"after 3 steps 1\.bias is not finite"):
        check_weights(model, 3, "somewhere")


def draws() -> list[float]:
    return [random.random(), float(np.random.random()), float(torch.rand(()))]  # noqa: NPY002


def test_every_generator_is_a_function_of_seed_and_step() -> None:
    found: dict[tuple[int, int], list[float]] = {}
    for seed, step in [(0, 1), (0, 2), (1, 1), (0, 1)]:
        seed_everything(seed, step)
        drawn = draws()
        assert found.setdefault((seed, step), drawn) == drawn
    assert len({tuple(drawn) for drawn in found.values()}) == 3


def test_a_run_gives_the_generators_back_as_they_were(tmp_path: Path) -> None:
    set_generators(5)
    expected = draws()
    set_generators(5)
    run = assemble(tiny_experiment(**{"train.steps": 1, "eval.every": 1}), LocalReporter(tmp_path)).fit
    fit(run)
    assert draws() == expected


class Recorder:
    """A hook with every point and a state."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.calls, self.name, self.count = calls, name, 0

    def __getattr__(self, point: str) -> object:
        if point not in POINTS:
            raise AttributeError(point)
        return partial(self._called, point)

    def _called(self, point: str, *_: object) -> None:
        self.count += 1
        self.calls.append(f"{self.name}.{point}")

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.count = state["count"]


def test_hooks_are_called_in_the_order_of_the_mapping_and_only_where_they_have_the_point() -> None:
    calls: list[str] = []
    hooks = {"b": Recorder("b", calls), "nothing": object(), "a": Recorder("a", calls)}
    call_hooks(hooks, "on_start", None)
    assert calls == ["b.on_start", "a.on_start"]
    assert hook_states(hooks) == {"b": {"count": 1}, "a": {"count": 1}}


def test_a_hook_gets_its_own_state_back_and_a_new_one_none() -> None:
    old, new = Recorder("old", []), Recorder("new", [])
    restore_hooks({"old": old, "new": new, "stateless": object()}, {"old": {"count": 7}, "gone": {"count": 9}})
    assert (old.count, new.count) == (7, 0)


def test_a_state_that_no_checkpoint_could_give_back_is_refused_when_it_is_saved() -> None:
    class Hook:
        def __init__(self, state: object) -> None:
            self.state_dict = lambda: state

    fine = {"a": [1, (2.0, None)], "b": torch.zeros(2), "c": {"d": "e"}}
    assert hook_states({"h": Hook(fine)}) == {"h": fine}
    with pytest.raises(CheckpointError, match=r"hooks\.h: state_dict\(\)\['a'\]\[0\] is a float64; expected .*convert it"):
        hook_states({"h": Hook({"a": [np.float64(1.0)]})})
