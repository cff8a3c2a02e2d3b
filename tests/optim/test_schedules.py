"""Schedules: the numbers of mmcv, without its history."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rayseg.errors import ConfigError
from rayseg.optim import Schedule, WarmupType, apply_schedule, constant, cosine, poly, with_warmup

TOTAL = 40

POLY = poly(power=0.9, floor=0.01)
COSINE = cosine(floor=1e-5)


@given(step=st.integers(0, 1000), total=st.integers(1, 1000), floor=st.floats(0, 1))
@pytest.mark.parametrize("make", [poly, cosine])
def test_decay_stays_between_the_floor_and_one(make: Callable[..., Schedule], step: int, total: int, floor: float) -> None:
    value = make(floor=floor)(step, total)
    assert floor - 1e-12 <= value <= 1 + 1e-12
    assert make(floor=floor)(step + 1, total) <= value + 1e-12


@pytest.mark.parametrize("make", [poly, cosine])
def test_decay_starts_at_one_and_rests_at_the_floor(make: Callable[..., Schedule]) -> None:
    schedule = make(floor=0.25)
    assert schedule(0, 10) == 1
    assert schedule(10, 10) == schedule(999, 10) == 0.25


def test_constant_is_constant() -> None:
    assert {constant()(step, 10) for step in range(12)} == {1.0}


@pytest.mark.parametrize("type_", ["constant", "linear", "exp"])
def test_warmup_ends_and_does_not_shift_the_clock(type_: WarmupType) -> None:
    warm = with_warmup(POLY, type=type_, warmup_steps=7, ratio=0.2)
    assert warm(0, TOTAL) == pytest.approx(0.2)
    assert [warm(step, TOTAL) for step in range(7, TOTAL)] == [POLY(step, TOTAL) for step in range(7, TOTAL)]
    assert with_warmup(POLY, type=type_, warmup_steps=0)(0, TOTAL) == 1


@pytest.mark.parametrize("schedule", [constant(), POLY, COSINE, with_warmup(POLY, type="exp", warmup_steps=3, ratio=0.5)])
def test_schedules_travel_to_workers(schedule: Schedule) -> None:
    copy = pickle.loads(pickle.dumps(schedule))
    assert copy == schedule
    assert copy(2, 9) == schedule(2, 9)


@pytest.mark.parametrize(
    ("make", "paths"),
    [
        (lambda: poly(power=0.0, floor=2.0), ["power", "floor"]),
        (lambda: cosine(floor=-0.1), ["floor"]),
        (lambda: with_warmup(POLY, type="cubic", warmup_steps=-1, ratio=0.0), ["type", "warmup_steps", "ratio"]),  # type: ignore[arg-type]
    ],
)
def test_senseless_arguments_are_named_all_at_once(make: Callable[[], Schedule], paths: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert [problem.path for problem in caught.value.problems] == paths


def test_every_group_is_multiplied_from_its_own_initial_rate() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 1.0)]
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    for multiplier in (0.5, 0.25):
        apply_schedule(optimizer, multiplier)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.025, 0.25])
    assert [group["momentum"] for group in optimizer.param_groups] == [0.9, 0.9]


def test_momentum_is_multiplied_from_its_initial_value() -> None:
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    adam = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=0.1, betas=(0.95, 0.99))
    for optimizer in (sgd, adam):
        for multiplier in (0.0, 0.5):
            apply_schedule(optimizer, 1.0, multiplier)
    assert sgd.param_groups[0]["momentum"] == pytest.approx(0.45)
    assert adam.param_groups[0]["betas"] == pytest.approx((0.475, 0.99))


@pytest.mark.parametrize("optimizer_class", [torch.optim.SGD, torch.optim.Adagrad])
def test_a_momentum_that_does_not_exist_is_not_scheduled_in_silence(optimizer_class: type[torch.optim.Optimizer]) -> None:
    optimizer = optimizer_class([nn.Parameter(torch.zeros(1))], lr=0.1)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"schedule\.momentum: \w+ has no momentum"):
        apply_schedule(optimizer, 1.0, 0.5)
