"""Schedules: the numbers of mmcv, without its history."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rayseg.data import steps_of
from rayseg.errors import ConfigError
from rayseg.optim import (
    Schedule,
    WarmupType,
    apply_schedule,
    constant,
    cosine,
    cosine_restarts,
    cyclic,
    exp,
    from_function,
    hold_epochs,
    in_epochs,
    inv,
    join,
    linear,
    multiplicative,
    one_cycle,
    plateau,
    poly,
    step,
    triangular,
    with_warmup,
)
from rayseg.testing import check_schedule

TOTAL = 40


def _fallen(count: int) -> float:
    return 0.5 ** (count // 5)


def _nearly(count: int) -> float:
    return 1 - 1 / (count + 9)


class _Clock:
    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        return float(step)


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


EVERY = {
    "constant": constant(value=0.3),
    "linear": linear(start=0.1, end=1.0),
    "poly": POLY,
    "poly that reaches": poly(floor=0.01, reach=True),
    "cosine": COSINE,
    "cosine that rises again": cosine(floor=0.01, half_period=7),
    "flat cosine": cosine(floor=0.01, flat=0.7),
    "exp": exp(gamma=0.9, floor=0.01),
    "inv": inv(gamma=0.5, floor=0.01),
    "step": step(every=3, floor=0.01),
    "milestones": step(milestones=(2, 5), floor=0.01),
    "cyclic": cyclic(end=0.01),
    "one cycle": one_cycle(end=0.01),
    "triangular": triangular(peak=4.0, up=3, down=2, scale="exp", gamma=0.9),
    "restarts": cosine_restarts(periods=2, growth=2, floor=0.01),
    "listed restarts": cosine_restarts(periods=(3, 5), weights=(1.0, 0.5), floor=0.01),
    "lambda": from_function(_fallen),
    "multiplicative": multiplicative(_nearly),
    "phases": join([linear(start=0.1, end=1.0), POLY], [3]),
    "epochs held": hold_epochs(POLY, num_images=7, batch_size=2),
    "epochs counted": in_epochs(step(every=1, floor=0.01), num_images=7, batch_size=2),
    "warm-up": with_warmup(COSINE, warmup_steps=4),
    "momentum's warm-up": with_warmup(COSINE, warmup_steps=4, divide=True),
}


@pytest.mark.parametrize("name", EVERY)
def test_every_schedule_is_what_a_users_own_must_be(name: str) -> None:
    schedule = EVERY[name]
    check_schedule(schedule, total_steps=23)
    assert pickle.loads(pickle.dumps(schedule)) == schedule


@settings(deadline=None, max_examples=20)
@given(total=st.integers(1, 300), data=st.data())
@pytest.mark.parametrize("name", [each for each in EVERY if each not in {"multiplicative", "lambda", "warm-up"}])
def test_values_are_finite_and_not_below_the_floor(name: str, total: int, data: st.DataObject) -> None:
    value = EVERY[name](data.draw(st.integers(0, total - 1)), total)
    assert math.isfinite(value)
    assert value >= (1e-5 if "warm-up" in name else 0.01) - 1e-12


@given(lengths=st.lists(st.integers(1, 9), max_size=4), rest=st.integers(1, 9))
def test_phases_join_where_they_should(lengths: list[int], rest: int) -> None:
    """Each phase has its own clock and its own total, and the next begins where it ends."""
    own = [poly(power=1 + number) for number in range(len(lengths) + 1)]
    total = sum(lengths) + rest
    joined = [join(own, lengths)(at, total) for at in range(total)]
    expected = [each(at, length) for each, length in zip(own, [*lengths, rest], strict=True) for at in range(length)]
    assert joined == expected


@given(images=st.integers(1, 40), batch=st.integers(1, 60), data=st.data())
def test_an_epochs_value_is_that_of_the_step_that_its_length_gives(images: int, batch: int, data: st.DataObject) -> None:
    """Epoch e begins at step ceil(e * images / batch): the one rule for lengths."""
    at = data.draw(st.integers(0, 200))
    held = hold_epochs(_Clock(), num_images=images, batch_size=batch)(at, 201)
    begins = [steps_of(None, float(epoch), images, batch) for epoch in range(1, 202 * batch // images + 2)]
    assert held == max([begin for begin in begins if begin <= at], default=0)


@pytest.mark.parametrize(
    ("make", "paths"),
    [
        (step, ["milestones"]),
        (lambda: step(milestones=(0, 3), gamma=-1.0), ["milestones", "gamma"]),
        (lambda: exp(gamma=1.5, every=0), ["gamma", "every"]),
        (lambda: inv(gamma=0.0, power=-1.0), ["gamma", "power"]),
        (lambda: linear(start=0.5, end=0.5), ["end"]),
        (lambda: cosine(flat=1.0, half_period=3, reach=True), ["flat", "reach"]),
        (lambda: cyclic(rise=1.0, cycles=0, curve="line"), ["cycles", "rise", "curve"]),  # type: ignore[arg-type]
        (lambda: one_cycle(rise=0.6, three_phase=True), ["rise"]),
        (lambda: triangular(peak=2.0, up=0, gamma=0.5), ["up", "gamma"]),
        (lambda: cosine_restarts(periods=(3, 3), weights=(1.0,), growth=2), ["weights", "growth"]),
        (lambda: cosine_restarts(periods=3, weights=(1.0,)), ["weights"]),
        (lambda: join([POLY], [3]), ["lengths"]),
        (lambda: plateau(factor=1.0, patience=-1, floor=2.0), ["factor", "patience", "floor"]),
        (lambda: from_function(_fallen, every=0), ["every"]),
    ],
)
def test_arguments_that_have_no_meaning_together_are_named(make: Callable[[], Schedule], paths: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert [problem.path for problem in caught.value.problems] == paths
