"""Schedules against numbers that the code of mmcv 1.7.1 and MMEngine 0.10.7 printed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rayseg.optim import (
    Schedule,
    WarmupType,
    cosine,
    cosine_restarts,
    cyclic,
    exp,
    inv,
    join,
    linear,
    one_cycle,
    poly,
    step,
    with_warmup,
)

BASE = 0.01
MOMENTUM = 0.95

POLY = poly(power=0.9, floor=0.01)
COSINE = cosine(floor=1e-5)
ONE_CYCLE = one_cycle()


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        (POLY, "linear", {0: 0.001, 1: 0.00185762, 2: 0.00267494, 10: 0.00774171, 39: 0.000457916}),
        (POLY, "constant", {0: 0.001, 5: 0.000887895, 9: 0.000797058, 10: 0.00774171}),
        (POLY, "exp", {0: 0.001, 5: 0.00280777, 9: 0.00633126}),
        (COSINE, "linear", {0: 0.001, 5: 0.00529067, 10: 0.00853555, 20: 0.00500005, 39: 1.55132e-05}),
    ],
)
def test_values_under_a_warm_up_are_those_of_mmcv(
    schedule: Schedule, warmup: WarmupType, expected: Mapping[int, float]
) -> None:
    warm = with_warmup(schedule, type=warmup, warmup_steps=10, ratio=0.1)
    assert {at: BASE * warm(at, 40) for at in expected} == pytest.approx(expected, rel=5e-6)


@pytest.mark.parametrize(
    ("schedule", "base", "total", "expected"),
    [
        (cyclic(), BASE, 100, {0: 0.01, 20: 0.055, 39: 0.0998613, 40: 0.1, 70: 0.0500005, 99: 6.95226e-05}),
        (
            cyclic(cycles=2, gamma=0.5, curve="linear"),
            BASE,
            100,
            {0: 0.01, 10: 0.055, 20: 0.1, 49: 0.0033343, 50: 0.01, 60: 0.0325, 70: 0.055, 99: 0.0018343},
        ),
        (ONE_CYCLE, 0.1, 100, {0: 0.004, 14: 0.0494013, 29: 0.1, 30: 0.0999497, 99: 4e-07}),
        (cosine(flat=0.75), BASE, 40, {29: 0.01, 30: 0.01, 35: 0.005, 39: 0.000244717}),
        (step(milestones=(9, 10)), BASE, 40, {8: 0.01, 9: 0.001, 10: 0.0001, 39: 0.0001}),
        (
            cyclic(peak=0.85 / 0.95, end=1.0),
            MOMENTUM,
            100,
            {0: 0.95, 20: 0.9, 39: 0.850154, 40: 0.85, 70: 0.9, 99: 0.949931},
        ),
    ],
)
def test_values_are_those_of_mmcv(schedule: Schedule, base: float, total: int, expected: Mapping[int, float]) -> None:
    assert {at: base * schedule(at, total) for at in expected} == pytest.approx(expected, rel=5e-6)


def test_the_warm_up_of_momentum_divides_as_in_mmcv() -> None:
    warm = with_warmup(linear(start=1.0, end=0.5), warmup_steps=10, ratio=0.9, divide=True)
    held = with_warmup(poly(floor=1.0), warmup_steps=10, ratio=0.9, divide=True)
    expected = {0: 1.0, 1: 0.98901, 9: 0.90909, 10: 0.9}
    assert {at: 0.9 * held(at, 40) for at in expected} == pytest.approx(expected, rel=5e-6)
    assert warm(5, 40) == pytest.approx((1 - 0.5 * 5 / 40) / 0.95)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (exp(gamma=0.9), lambda t: 0.9**t),
        (inv(gamma=0.1, power=0.75), lambda t: (1 + 0.1 * t) ** -0.75),
        (linear(end=0.1), lambda t: 1 + (0.1 - 1) * t / 40),
        (step(every=7, gamma=0.5, floor=0.2), lambda t: max(0.5 ** (t // 7), 0.2)),
    ],
)
def test_the_plain_policies_of_mmcv(schedule: Schedule, expected: Schedule) -> None:
    assert [schedule(t, 40) for t in range(40)] == pytest.approx([expected(t) for t in range(40)])  # type: ignore[call-arg]


def test_cosine_restarts_of_mmcv() -> None:
    """``m + w/2 (b - m) (1 + cos(pi t/P))`` in each period."""
    schedule = cosine_restarts(periods=(4, 8), weights=(1.0, 0.5), floor=0.1)
    values = [schedule(t, 12) for t in range(12)]
    assert values[:5] == pytest.approx([1.0, 0.1 + 0.9 * 0.853553, 0.55, 0.1 + 0.9 * 0.146447, 0.1 + 0.5 * 0.9], rel=1e-5)
    assert values[8] == pytest.approx(0.1 + 0.5 * 0.45)


def test_mmengine_reaches_its_ends_at_the_last_step() -> None:
    """``PolyLR`` over E steps divides by E - 1, and so does ``LinearLR``."""
    ours = poly(power=0.9, floor=0.01, reach=True)
    assert [ours(t, 40) for t in (0, 20, 39)] == pytest.approx([1.0, 0.99 * (1 - 20 / 39) ** 0.9 + 0.01, 0.01])
    rise = linear(start=1 / 3, end=1.0, reach=True)
    assert [rise(t, 5) for t in range(5)] == pytest.approx([1 / 3, 1 / 2, 2 / 3, 5 / 6, 1.0])


def test_the_warm_up_of_mmengine_comes_before_the_decay_and_has_its_own_clock() -> None:
    """``LinearLR(0.1, begin=0, end=10)``, then ``PolyLR(begin=10, end=40)``."""
    phases = join([linear(start=0.1, end=1.0, reach=True), poly(power=0.9, floor=0.01, reach=True)], [10])
    assert [phases(t, 40) for t in (0, 9, 10, 39)] == pytest.approx([0.1, 1.0, 1.0, 0.01])
    assert phases(25, 40) == pytest.approx(0.99 * (1 - 15 / 29) ** 0.9 + 0.01)


def test_overlapping_schedules_of_mmengine_have_a_product_that_is_neither_theirs_nor_that_of_mmcv() -> None:
    """At t = 1: their recursion .001956, the product .001954, mmcv's warm-up .001858."""
    product = linear(start=0.1, end=1.0, reach=True)(1, 10) * poly(power=0.9, floor=0.01, reach=True)(1, 40)
    assert BASE * product == pytest.approx(0.001954, abs=5e-7)
    assert BASE * with_warmup(POLY, warmup_steps=10, ratio=0.1)(1, 40) == pytest.approx(0.001858, abs=5e-7)
