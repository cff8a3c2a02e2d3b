"""Populations: who is replaced by whom, with which recipe; and that breeding does what it is for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rayseg.launch.bandit import Observation, choose
from rayseg.launch.perturb import from_unit, perturbed, to_unit, why_not_bounded, why_not_perturbed
from rayseg.launch.population import Population, PopulationRules, Segment
from rayseg.space import FlatSpace, choice, int_uniform, log_uniform, random_points, uniform

SPACE: FlatSpace = {"optim.lr": log_uniform(1e-4, 1.0), "sampling.thresh": uniform(-0.5, 0.9)}
MIXED: FlatSpace = {**SPACE, "losses.dice.weight": choice([0.0, 1.0, 3.0]), "schedule.warmup.length.steps": int_uniform(1, 40)}
SEEDS = st.integers(0, 2**31 - 1)


def _rules(kind: str = "pbt", **more: object) -> PopulationRules:
    given = {"first": 10, "every": 10, "total": 40, "quantile": 0.25, "resample": 0.25, "mode": "max", "seed": 0, **more}
    return PopulationRules(kind=kind, **given)  # type: ignore[arg-type]


def _bred(
    rules: PopulationRules, score: Callable[[Segment], float | None], num: int = 6, space: FlatSpace = SPACE
) -> Population:
    population = Population(rules, space, random_points(space, num, rules.seed))
    order = np.random.default_rng(7)
    while not population.over:
        for index in order.permutation(len(segments := list(population.segments))):
            population.ended(segments[index], score(segments[index]))
    return population


@given(SEEDS, st.floats(0, 1))
@settings(max_examples=10)
def test_a_perturbed_recipe_stays_in_its_space(seed: int, resample: float) -> None:
    rng = np.random.default_rng(seed)
    (point,) = random_points(MIXED, 1, seed)
    for _ in range(20):
        point = {key: perturbed(dimension, point[key], rng, resample) for key, dimension in MIXED.items()}
        assert 1e-4 <= point["optim.lr"] <= 1.0
        assert -0.5 <= point["sampling.thresh"] <= 0.9
        assert point["losses.dice.weight"] in {0.0, 1.0, 3.0}
        assert 1 <= point["schedule.warmup.length.steps"] <= 40


def test_without_drawing_anew_a_value_moves_by_one_step() -> None:
    rng = np.random.default_rng(0)
    seen = {
        key: {round(perturbed(each, now, rng, 0.0), 6) for _ in range(20)}
        for key, each, now in (
            ("rate", log_uniform(1e-4, 1.0), 0.01),
            ("number", uniform(-1.0, 1.0), 0.0),
            ("whole", int_uniform(1, 5), 3),
            ("choice", choice([0.0, 1.0, 3.0]), 1.0),
        )
    }
    assert seen == {"rate": {0.008, 0.012}, "number": {-0.2, 0.2}, "whole": {2, 4}, "choice": {0.0, 3.0}}


@given(SEEDS)
@settings(max_examples=20)
def test_a_place_in_the_unit_cube_is_a_recipe_and_back(seed: int) -> None:
    (point,) = random_points(SPACE, 1, seed)
    assert from_unit(SPACE, to_unit(SPACE, point)) == pytest.approx(point)


@given(SEEDS, st.sampled_from(["pbt", "pb2"]))
@settings(max_examples=4)
def test_the_worst_begin_with_the_weights_of_the_best_whatever_ends_first(seed: int, kind: str) -> None:
    def score(segment: Segment) -> float:
        return float(np.random.default_rng([seed, segment.member, segment.interval]).random())

    rules = _rules(kind, quantile=0.34, seed=seed)
    population = _bred(rules, score)
    assert [len(interval) for interval in population.past] == [6] * 4
    for before, after in pairwise(population.past):
        order = sorted(before, key=score)
        replaced = [each for each in after if each.donor is not None]
        assert {each.member for each in replaced} == {each.member for each in order[:3]}
        assert {each.donor for each in replaced} <= {each.run for each in order[-3:]}
        for old, new in zip(before, after, strict=True):
            assert new.start == old.until
            assert (new.run, new.recipe) == (old.run, old.recipe) or new.replaces == old.run
    again = _bred(rules, score)
    assert again.past == population.past


def test_a_member_that_failed_is_replaced_whatever_the_quantile() -> None:
    population = _bred(
        _rules(quantile=0.0), lambda each: math.nan if (each.member, each.interval) == (2, 0) else float(each.member)
    )
    assert [each.run for each in population.past[1]] == ["m1", "m2-10", "m3", "m4", "m5", "m6"]
    assert population.past[1][1].donor == "m6"


def test_where_all_have_failed_nothing_goes_on() -> None:
    population = _bred(_rules(), lambda _: None)
    assert len(population.past) == 1


def test_equals_do_not_replace_each_other() -> None:
    assert {each.donor for each in _bred(_rules(), lambda _: 0.5).past[-1]} == {None}


def test_the_lineage_of_a_run_is_whose_recipe_made_its_weights() -> None:
    population = _bred(_rules(resample=0.0), lambda each: float(each.member if each.interval < 2 else -each.member), num=4)
    last = population.past[-1][-1]
    found = population.lineage(last.run)
    assert [each.start for each in found] == [0, 10, 20, 30]
    assert found[-1] is last
    for before, after in pairwise(found):
        assert before.run == (after.donor or after.run)


def _toy(rules: PopulationRules) -> float:
    """Figure 2 of Jaderberg et al. 2017: maximise 1.2 - |w|^2 by ascent on a surrogate whose two recipes see one axis each."""
    weights = {name: np.array([0.9, 0.8]) for name in ("m1", "m2")}
    space: FlatSpace = {"h0": uniform(0.0, 1.0), "h1": uniform(0.0, 1.0)}
    population = Population(rules, space, [{"h0": 1.0, "h1": 0.0}, {"h0": 0.0, "h1": 1.0}])
    best = -math.inf
    while not population.over:
        begun = {each.run: weights[each.donor or each.run] for each in population.segments}
        for each in list(population.segments):
            shrink = 1 - 0.06 * np.array([each.recipe["h0"], each.recipe["h1"]])
            weights[each.run] = begun[each.run] * shrink ** (each.until - each.start)
            value = float(1.2 - np.square(weights[each.run]).sum())
            best = max(best, value)
            population.ended(each, value)
    return best


@pytest.mark.parametrize("kind", ["pbt", "pb2"])
def test_a_population_finds_what_no_fixed_recipe_of_it_can(kind: str) -> None:
    rules = _rules(kind, every=4, first=4, total=80)
    assert _toy(replace(rules, quantile=0.0)) < 0.6
    assert _toy(replace(rules, quantile=0.5)) > 1.1


def test_the_bandit_looks_where_gains_are_and_follows_them_when_they_move() -> None:
    def seen(at: int, top: float) -> list[Observation]:
        return [Observation(at, 0.0, (float(x),), -((x - top) ** 2)) for x in np.linspace(0, 1, 8)]

    early, late = (choose(seen(0, top), 1, 0.0, [], 1, np.random.default_rng(0))[0] for top in (0.2, 0.8))
    assert (early, late) == pytest.approx((0.2, 0.8), abs=0.15)
    moved = choose(
        [each for at in range(6) for each in seen(at, 0.2 if at < 3 else 0.8)], 6, 0.0, [], 1, np.random.default_rng(0)
    )
    assert moved[0] == pytest.approx(0.8, abs=0.2)


def test_the_bandit_does_not_choose_twice_what_is_running() -> None:
    seen = [Observation(0, 0.0, (x,), 0.0) for x in (0.0, 1.0)]
    first = choose(seen, 1, 0.0, [], 1, np.random.default_rng(0))
    second = choose(seen, 1, 0.0, [tuple(first)], 1, np.random.default_rng(0))
    assert abs(first[0] - second[0]) > 0.1


@pytest.mark.parametrize(
    "key",
    ["optim.lr", "optim.groups.head.lr_mult", "losses.ce.class_weight.power", "losses.dice", "sampling.thresh",
     "schedule.floor", "heads.auxiliary.weight", "data.transforms.jitter.brightness", "train.clip_norm"],
)  # fmt: skip
def test_what_enters_a_step_anew_may_change(key: str) -> None:
    assert why_not_perturbed(key, uniform(0.0, 1.0)) is None


@pytest.mark.parametrize(
    "key",
    ["optim", "optim.type", "optim.amsgrad", "optim.groups.head", "model.width", "seed", "train.batch_size", "train.ema.decay",
     "hooks.x.y", "init.skip", "schedule.type", "schedule.phases.a.length.steps", "data.pad_size", "heads.aux", "freeze.a"],
)  # fmt: skip
def test_what_has_a_shape_a_length_or_a_memory_may_not(key: str) -> None:
    assert "cannot change in a running trial" in str(why_not_perturbed(key, uniform(0.0, 1.0)))


def test_pb2_wants_numbers_between_two_ends() -> None:
    assert [why_not_bounded(each) is None for each in MIXED.values()] == [True, True, False, False]
