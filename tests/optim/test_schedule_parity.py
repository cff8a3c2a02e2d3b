"""Schedules against torch's own, over whole runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler as theirs

from rayseg.optim import (
    Schedule,
    apply_schedule,
    constant,
    cosine,
    cosine_restarts,
    exp,
    from_function,
    join,
    linear,
    multiplicative,
    one_cycle,
    plateau,
    poly,
    step,
    table_of_function,
    table_of_scheduler,
    triangular,
)

LR, TOTAL = 0.4, 60
Make = Callable[[torch.optim.Optimizer], Any]


def sgd(lr: float = LR, momentum: float = 0.0) -> torch.optim.SGD:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr, momentum=momentum)


def run(make: Make, optimizer: torch.optim.Optimizer) -> tuple[list[float], list[float]]:
    """Rate and momentum before each step of a loop."""
    scheduler, rates, momenta = make(optimizer), [], []
    for _ in range(TOTAL):
        group = optimizer.param_groups[0]
        rates.append(group["lr"])
        momenta.append(group["betas"][0] if "betas" in group else group["momentum"])
        optimizer.step()
        scheduler.step()
    return rates, momenta


def halves(count: int) -> float:
    return 0.5 ** (count // 10)


def slower(count: int) -> float:
    return 1 - 1 / (count + 30)


TWINS: list[tuple[Schedule, Make]] = [
    (from_function(halves), lambda o: theirs.LambdaLR(o, halves)),
    (multiplicative(slower), lambda o: theirs.MultiplicativeLR(o, slower)),
    (step(every=7, gamma=0.3), lambda o: theirs.StepLR(o, 7, 0.3)),
    (step(milestones=(5, 5, 40), gamma=0.3), lambda o: theirs.MultiStepLR(o, [5, 5, 40], 0.3)),
    (exp(gamma=0.93), lambda o: theirs.ExponentialLR(o, 0.93)),
    (cosine(floor=0.1), lambda o: theirs.CosineAnnealingLR(o, TOTAL, 0.1 * LR)),
    (cosine(floor=0.1, half_period=13), lambda o: theirs.CosineAnnealingLR(o, 13, 0.1 * LR)),
    (poly(power=0.9), lambda o: theirs.PolynomialLR(o, TOTAL, 0.9)),
    (
        join([linear(start=0.2, end=1.0), constant()], [25]),
        lambda o: theirs.LinearLR(o, start_factor=0.2, total_iters=25),
    ),
    (join([constant(value=0.3), constant()], [25]), lambda o: theirs.ConstantLR(o, 0.3, 25)),
    (cosine_restarts(periods=17, floor=0.1), lambda o: theirs.CosineAnnealingWarmRestarts(o, 17, 1, 0.1 * LR)),
    (cosine_restarts(periods=4, growth=3), lambda o: theirs.CosineAnnealingWarmRestarts(o, 4, 3)),
    (one_cycle(), lambda o: theirs.OneCycleLR(o, LR, TOTAL, cycle_momentum=False)),
    (
        one_cycle(start=0.1, end=0.001, rise=0.2, curve="linear", three_phase=True),
        lambda o: theirs.OneCycleLR(
            o, LR, TOTAL, pct_start=0.2, anneal_strategy="linear", div_factor=10, final_div_factor=100, three_phase=True,
            cycle_momentum=False,
        ),
    ),
    (triangular(peak=5.0, up=8, down=5), lambda o: theirs.CyclicLR(o, LR, 5 * LR, 8, 5, cycle_momentum=False)),
    (
        triangular(peak=5.0, up=8, scale="halve"),
        lambda o: theirs.CyclicLR(o, LR, 5 * LR, 8, mode="triangular2", cycle_momentum=False),
    ),
    (
        triangular(peak=5.0, up=8, scale="exp", gamma=0.97),
        lambda o: theirs.CyclicLR(o, LR, 5 * LR, 8, mode="exp_range", gamma=0.97, cycle_momentum=False),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "make"), TWINS, ids=[f"{n}-{type(ours).__name__}" for n, (ours, _) in enumerate(TWINS)])
def test_a_whole_run_has_the_rates_of_torch(ours: Schedule, make: Make) -> None:
    assert [LR * ours(at, TOTAL) for at in range(TOTAL)] == pytest.approx(run(make, sgd())[0], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("rate", "momentum", "initial", "make"),
    [
        (
            one_cycle(),
            one_cycle(start=1.0, peak=0.85 / 0.95, end=1.0),
            0.95,
            lambda o: theirs.OneCycleLR(o, LR, TOTAL),
        ),
        (
            one_cycle(three_phase=True),
            one_cycle(start=1.0, peak=0.85 / 0.95, end=1.0, three_phase=True),
            0.95,
            lambda o: theirs.OneCycleLR(o, LR, TOTAL, three_phase=True),
        ),
        (
            triangular(peak=2.0, up=9, scale="halve"),
            triangular(peak=0.8 / 0.9, up=9, scale="halve"),
            0.9,
            lambda o: theirs.CyclicLR(o, LR, 2 * LR, 9, mode="triangular2"),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["momentum", "betas"])
def test_momentum_moves_as_in_torch(rate: Schedule, momentum: Schedule, initial: float, make: Make, kind: str) -> None:
    """The optimizer's own values are compared, after ``apply_schedule``."""

    def optimizer() -> torch.optim.Optimizer:
        if kind == "momentum":
            return sgd(momentum=initial)
        return torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=LR, betas=(initial, 0.99))

    ours, found = optimizer(), []
    for at in range(TOTAL):
        apply_schedule(ours, rate(at, TOTAL), momentum(at, TOTAL))
        group = ours.param_groups[0]
        found.append((group["lr"], group["betas"][0] if kind == "betas" else group["momentum"]))
    rates, momenta = run(make, optimizer())
    assert [lr for lr, _ in found] == pytest.approx(rates, rel=1e-9, abs=1e-12)
    assert [value for _, value in found] == pytest.approx(momenta, rel=1e-9)


@pytest.mark.parametrize(("ours", "make"), TWINS, ids=[f"{n}-{type(ours).__name__}" for n, (ours, _) in enumerate(TWINS)])
def test_the_table_of_a_scheduler_is_the_scheduler(ours: Schedule, make: Make) -> None:
    table = table_of_scheduler(make, sgd(), TOTAL)
    assert table.momentum is None
    assert [table.lr(at, TOTAL) for at in range(TOTAL)] == pytest.approx([ours(at, TOTAL) for at in range(TOTAL)], abs=1e-12)


def test_the_table_of_a_scheduler_has_its_momentum() -> None:
    tables = table_of_scheduler(lambda o: theirs.OneCycleLR(o, LR, TOTAL), sgd(momentum=0.9), TOTAL)
    assert tables.momentum is not None
    momenta = run(lambda o: theirs.OneCycleLR(o, LR, TOTAL), sgd(momentum=0.9))[1]
    assert [0.9 * tables.momentum(at, TOTAL) for at in range(TOTAL)] == pytest.approx(momenta)


def adjust_learning_rate(optimizer: torch.optim.Optimizer, epoch: int) -> None:
    lr = LR * (0.1 ** (epoch // 30))
    for param_group in optimizer.param_groups:
        param_group["lr"] = lr


def test_a_function_that_sets_the_rate_becomes_a_table() -> None:
    table = table_of_function(adjust_learning_rate, sgd(), 90).lr
    assert [table(epoch, 90) for epoch in (0, 29, 30, 59, 60, 89)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@given(
    scores=st.lists(st.floats(-2, 2) | st.just(math.nan), min_size=1, max_size=40),
    mode=st.sampled_from(["max", "min"]),
    factor=st.floats(0.05, 0.95),
    patience=st.integers(0, 4),
    threshold=st.floats(0, 0.5),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    cooldown=st.integers(0, 3),
    floor=st.floats(0, 0.5),
)
def test_the_plateau_is_that_of_torch(scores: list[float], floor: float, **own: Any) -> None:
    ours, optimizer = plateau(floor=floor, **own), sgd(lr=1.0)
    their = theirs.ReduceLROnPlateau(optimizer, min_lr=floor, eps=0.0, **own)
    for score in scores:
        ours.observe(score)
        their.step(score)
        assert ours(0, 1) == optimizer.param_groups[0]["lr"]


@given(scores=st.lists(st.floats(0, 1), min_size=2, max_size=30), data=st.data())
def test_a_plateau_that_is_restored_goes_on_as_if_nothing_had_happened(scores: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(scores)))
    whole, first, second = (plateau(patience=1, factor=0.5, cooldown=1) for _ in range(3))
    for score in scores:
        whole.observe(score)
    for score in scores[:cut]:
        first.observe(score)
    second.load_state_dict(first.state_dict())
    for score in scores[cut:]:
        second.observe(score)
    assert second == whole
