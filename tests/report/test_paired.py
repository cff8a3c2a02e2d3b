"""Verdicts from paired seeds: intervals that hold as often as they say, and everything that must not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rayseg.errors import RaysegError
from rayseg.report import Difference, PairRules, judge, paired_difference, pairs_wanted, verdicts_of_many

VALUES = st.lists(st.floats(-0.1, 0.1).map(lambda value: round(value, 4)), min_size=10, max_size=10)
WORDS = {"better": "worse", "worse": "better", "not distinguishable": "not distinguishable"}


@given(VALUES, st.sampled_from([0.2, 0.05, 0.01]))
@settings(max_examples=20, deadline=None)
def test_the_interval_and_the_p_value_are_scipys(values: list[float], error: float) -> None:
    if len(set(values)) == 1:
        return
    found = paired_difference(values, error=error)
    other = stats.ttest_1samp(values, 0.0)
    interval = other.confidence_interval(1 - error)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-12)
    assert found.p_value == pytest.approx(other.pvalue, abs=1e-9)


@given(VALUES)
@settings(max_examples=20, deadline=None)
def test_exchanging_the_two_recipes_turns_every_sign(values: list[float]) -> None:
    rules = PairRules(smallest=0.02)
    there, back = judge(values, rules), judge([-value for value in values], rules)
    assert (back.difference.mean, back.difference.low, back.difference.high) == pytest.approx(
        (-there.difference.mean, -there.difference.high, -there.difference.low)
    )
    assert back.verdict == WORDS[there.verdict]
    assert judge(values, rules, "min").verdict == WORDS[there.verdict]
    assert back.asked == there.asked


@given(VALUES, st.floats(2.0, 100.0))
@settings(max_examples=20, deadline=None)
def test_the_unit_of_the_score_does_not_matter(values: list[float], unit: float) -> None:
    fine = judge(values, PairRules(smallest=0.0313))
    coarse = judge([value * unit for value in values], PairRules(smallest=0.0313 * unit))
    assert (coarse.verdict, coarse.asked, coarse.difference.pairs) == (fine.verdict, fine.asked, fine.difference.pairs)


@given(VALUES, VALUES)
@settings(max_examples=20, deadline=None)
def test_pairs_that_nobody_asked_for_change_nothing(values: list[float], more: list[float]) -> None:
    rules = PairRules(max_seeds=8, smallest=0.02)
    wanted = pairs_wanted(values, rules)
    assert 5 <= wanted <= 8
    assert judge(values[:wanted], rules) == judge([*values[:wanted], *more], rules)


def _covered(true: float, rules: PairRules, runs: int = 4000) -> tuple[float, float, float]:
    """How often all intervals held the true difference, how often any verdict was wrong, and the mean number of pairs."""
    rng = np.random.default_rng(7)
    covered = wrong = pairs = 0.0
    for _ in range(runs):
        own = rng.normal(0.0, 0.01 / math.sqrt(2), (rules.candidates, rules.max_seeds))
        baseline = rng.normal(0.0, 0.01 / math.sqrt(2), rules.max_seeds)
        found = [judge(list(true + row - baseline), rules) for row in own]
        covered += all(each.difference.low <= true <= each.difference.high for each in found)
        wrong += any(each.verdict not in {"not distinguishable", _truth(true)} for each in found)
        pairs += sum(each.difference.pairs for each in found) / rules.candidates
    return covered / runs, wrong / runs, pairs / runs


def _truth(true: float) -> str:
    return "not distinguishable" if true == 0 else "better" if true > 0 else "worse"


@pytest.mark.parametrize(("true", "candidates"), [(0.0, 1), (0.012, 2), (0.03, 1)])
def test_intervals_hold_as_often_as_they_say_though_the_pairs_were_looked_at(true: float, candidates: int) -> None:
    rules = PairRules(seeds=5, max_seeds=16, smallest=0.003, candidates=candidates)
    covered, wrong, _ = _covered(true, rules)
    assert covered > 0.95 - 0.007  # two standard errors of 4000 runs
    assert wrong < 0.05 + 0.007


def test_pairs_are_saved_where_the_first_ones_tell_enough() -> None:
    rules = PairRules(seeds=5, max_seeds=16, smallest=0.005)
    saved, whole = (_covered(true, rules, 60)[2] for true in (0.05, 0.0))
    assert saved < 8
    assert whole > 14


def test_an_interval_that_was_granted_every_pair_is_as_narrow_as_was_asked_for() -> None:
    values = list(np.random.default_rng(0).normal(0.0, 0.01, 400))
    rules = PairRules(max_seeds=400)
    found = judge(values, rules)
    assert found.asked == found.difference.pairs > 5
    assert (found.difference.high - found.difference.low) / 2 <= rules.smallest
    capped = judge(values, PairRules(max_seeds=6))
    assert (capped.asked, capped.difference.pairs) == (found.asked, 6)


def test_as_many_seeds_at_first_as_at_last_is_students_interval() -> None:
    values = [0.01, 0.02, -0.01, 0.03, 0.02]
    alone = judge(values, PairRules(seeds=5, max_seeds=5)).difference
    assert alone == paired_difference(values, error=0.05)
    of_two = judge(values, PairRules(seeds=5, max_seeds=5, candidates=2)).difference
    assert of_two == paired_difference(values, error=0.025)


def test_equal_runs_are_not_distinguishable() -> None:
    found = judge([0.0] * 5, PairRules())
    assert (found.verdict, found.asked, found.difference.p_value) == ("not distinguishable", 5, 1.0)


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None)
def test_verdicts_of_many_are_those_of_benjamini_and_hochberg(p_values: list[float]) -> None:
    found = {str(at): Difference(0.1, 0.0, 0.2, 5, 0.1, p_value) for at, p_value in enumerate(p_values)}
    called = {name for name, verdict in verdicts_of_many(found).items() if verdict == "better"}
    adjusted = stats.false_discovery_control(p_values)
    if any(abs(adjusted - 0.05) < 1e-12):  # rounding decides
        return
    assert called == {str(at) for at, value in enumerate(adjusted) if value <= 0.05}
    assert set(verdicts_of_many(found, "min").values()) <= {"worse", "not distinguishable"}


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(RaysegError, match="1 pairs tell no spread"):
        paired_difference([0.1])
    with pytest.raises(RaysegError, match="3 pairs, but the rules want 5"):
        judge([0.1, 0.2, 0.3], PairRules())
