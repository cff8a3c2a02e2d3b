"""Schedules as a config writes them: lengths, phases, epochs, schedulers of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from rayseg.build import check
from rayseg.engine import Fit
from rayseg.optim import cosine, join, linear, poly, step, with_warmup
from tests.build.small import BASE, PARTS, built

#: Five epochs of 7 images in batches of 2: 18 steps; epochs begin at steps 0, 4, 7, 11, 14.
RUN = {"data.dataset.length": 7, "train": {"epochs": 5, "batch_size": 2}}
BEGINS = [0, 4, 7, 11, 14]
TOTAL = 18
SGD = {"optim": {"type": "sgd", "lr": 0.5, "momentum": 0.9}}


def run(schedule: Mapping[str, Any], **more: Any) -> Fit:
    return built({**RUN, **SGD, **more, "schedule": dict(schedule)}).fit


def values(schedule: Mapping[str, Any], **more: Any) -> list[float]:
    """The multiplier at every step."""
    fit = run(schedule, **more)
    assert fit.plan.total_steps == TOTAL
    return [fit.schedule(at, TOTAL) for at in range(TOTAL)]


def of(schedule: Any) -> list[float]:
    return [schedule(at, TOTAL) for at in range(TOTAL)]


def epoch_of(at: int) -> int:
    return sum(at >= begin for begin in BEGINS) - 1


def test_a_length_in_epochs_is_one_in_steps_wherever_it_stands() -> None:
    assert values({"type": "step", "every": {"epochs": 2}}) == of(step(every=7))
    assert values({"type": "step", "milestones": [{"epochs": 1}, {"steps": 9}, 12]}) == of(step(milestones=(4, 9, 12)))
    assert values({"type": "cosine", "half_period": {"epochs": 2.5}}) == of(cosine(half_period=9))


def test_by_epoch_holds_the_value_of_an_epochs_first_step() -> None:
    held = values({"type": "poly", "by_epoch": True})
    assert held == [poly()(BEGINS[epoch_of(at)], TOTAL) for at in range(TOTAL)]


def test_a_warm_up_by_step_goes_over_the_values_of_epochs() -> None:
    """As in mmcv: the regular rate is the epoch's, the factor the step's."""
    held = values({"type": "poly", "by_epoch": True})
    warm = values({"type": "poly", "by_epoch": True, "warmup": {"length": 5, "ratio": 0.1}})
    assert warm == pytest.approx([value * (1 - max(1 - at / 5, 0) * 0.9) for at, value in enumerate(held)])


def test_phases_are_joined_and_each_has_a_clock_of_its_own() -> None:
    phases = {
        "warm": {"type": "linear", "start": 0.1, "end": 1.0, "length": {"epochs": 1}},
        "decay": {"type": "poly", "power": 0.9, "floor": 0.01, "reach": True},
    }
    assert values({"phases": phases}) == of(join([linear(start=0.1, end=1.0), poly(floor=0.01, reach=True)], [4]))


def test_momentum_has_its_own_type_and_warm_up() -> None:
    momentum = {"type": "cosine", "floor": 0.5, "warmup": {"length": 4, "ratio": 0.9}}
    made = run({"type": "poly", "momentum": momentum}).momentum_schedule
    assert made == with_warmup(cosine(floor=0.5), warmup_steps=4, ratio=0.9, divide=True)


def theirs(scheduler: lr_scheduler.LRScheduler, optimizer: torch.optim.Optimizer, count: int) -> list[float]:
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"] / 0.5)
        optimizer.step()
        scheduler.step()
    return rates


def test_a_scheduler_of_torch_is_stepped_with_the_steps_or_with_the_epochs() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    by_step = theirs(lr_scheduler.StepLR(optimizer, 3, 0.5), optimizer, TOTAL)
    spec = {"type": "torch.optim.lr_scheduler:StepLR", "step_size": 3, "gamma": 0.5}
    assert values(spec) == pytest.approx(by_step)
    by_epoch = values({**spec, "by_epoch": True})
    assert by_epoch == pytest.approx([by_step[epoch_of(at)] for at in range(TOTAL)])
    assert values({**spec, "by_epoch": True, "step_size": {"epochs": 3}}) == by_epoch
    assert values({**spec, "step_size": {"epochs": 1}}) == of(step(every=4, gamma=0.5))


def test_a_scheduler_of_torch_may_be_a_phase_and_be_warmed_up() -> None:
    exponential = {"type": "torch.optim.lr_scheduler:ExponentialLR", "gamma": 0.9}
    found = values({"phases": {"flat": {"type": "constant", "length": 8}, "fall": exponential}, "warmup": {"length": 2}})
    assert found == pytest.approx([0.1, 0.55, *[1.0] * 6, *[0.9**count for count in range(10)]])


def test_a_scheduler_of_torch_takes_functions_by_their_import_path() -> None:
    spec = {"type": "torch.optim.lr_scheduler:LambdaLR", "lr_lambda": "tests.build.small:halved"}
    own = {"type": "lambda", "function": "tests.build.small:halved"}
    assert values(spec) == values(own) == [0.5**at for at in range(TOTAL)]
    assert values({**own, "every": {"epochs": 1}}) == [0.5 ** (at // 4) for at in range(TOTAL)]
    product = {"type": "multiplicative", "function": "tests.build.small:halved"}
    assert values(product)[:4] == [1, 0.5, 0.125, 0.5**6]


def test_a_scheduler_of_torch_moves_momentum_as_it_does_in_torch() -> None:
    spec = {"type": "torch.optim.lr_scheduler:OneCycleLR", "max_lr": 0.5, "total_steps": {"epochs": 5}}
    fit = run(spec)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.5, TOTAL)
    assert fit.momentum_schedule is not None
    for at in range(TOTAL):
        group = optimizer.param_groups[0]
        assert 0.5 * fit.schedule(at, TOTAL) == pytest.approx(group["lr"])
        assert 0.9 * fit.momentum_schedule(at, TOTAL) == pytest.approx(group["momentum"])
        optimizer.step()
        scheduler.step()
    assert run({**spec, "cycle_momentum": False}).momentum_schedule is None


def test_a_scheduler_that_knows_its_end_is_not_stepped_past_it() -> None:
    """OneCycleLR raises if it is; five epochs of 7 images in batches of 2 are 18 steps, and those are 36 images."""
    spec = {"type": "torch.optim.lr_scheduler:OneCycleLR", "max_lr": 0.5, "total_steps": 4, "cycle_momentum": False}
    fit = run({**spec, "by_epoch": True}, train={"epochs": 5, "batch_size": 2})
    assert len({fit.schedule(at, TOTAL) for at in range(TOTAL)}) == 5


def test_a_function_that_sets_the_rate_by_the_epoch_is_called_once_for_each() -> None:
    found = values({"type": "adjust", "drop": 2, "by_epoch": True})
    assert found == pytest.approx([0.1 ** (epoch_of(at) // 2) for at in range(TOTAL)])


def test_what_was_built_twice_is_equal_so_a_resumed_run_needs_the_step_only() -> None:
    spec = {"type": "torch.optim.lr_scheduler:CosineAnnealingLR", "T_max": 9, "warmup": {"length": 3}}
    assert run(spec).schedule == run(spec).schedule


@pytest.mark.parametrize(
    "schedule",
    [
        {"type": "linear", "end": 0.1},
        {"type": "exp", "gamma": 0.9, "every": {"epochs": 1}},
        {"type": "inv", "gamma": 0.1},
        {"type": "cyclic", "cycles": 2, "momentum": {"type": "cyclic", "peak": 0.9, "end": 1.0}},
        {"type": "one_cycle", "momentum": {"type": "one_cycle", "start": 1.0, "peak": 0.9, "end": 1.0}},
        {"type": "triangular", "peak": 4.0, "up": 3, "scale": "halve"},
        {"type": "cosine_restarts", "periods": [{"epochs": 2}, {"epochs": 3}], "weights": [1.0, 0.5]},
        {"type": "cosine", "flat": 0.5, "momentum": {"warmup": {"length": 2}}},
        {"type": "plateau", "monitor": "val/IoU/car", "warmup": {"length": 3}},
    ],
)
def test_sound_schedules_have_no_problem(schedule: dict[str, Any]) -> None:
    assert check(BASE.with_({**RUN, **SGD, "schedule": schedule}), PARTS) == []
