"""What holds of every space: conditions, rules, grids, corners, files; and that mixes are drawn evenly."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError
from rayseg.space import (
    Choice,
    Dimension,
    Rule,
    Space,
    When,
    axes,
    broken_rules,
    choice,
    class_weight_each,
    class_weight_rule,
    conditional_axes,
    corners,
    describe,
    distinct_size,
    draw_point,
    function_digests,
    grid,
    grid_points,
    keys_of,
    log_grid,
    log_uniform,
    looked_up,
    ohem,
    point_name,
    random_points,
    ratio,
    require,
    shares_of,
    simplex,
    size,
    space_from,
    space_problems,
    strength,
    uniform,
    unit_coordinates,
    when,
    written,
)
from tests.space.spaces import spaces

FEW = settings(max_examples=10, deadline=None)


def _keeps(space: Space, point: dict[str, Any]) -> None:
    """A conditional key is there where its condition holds and nowhere else; an option's keys are there with the option."""
    for key, part in space.items():
        if isinstance(part, When):
            holds = all(looked_up(point, other) in values for other, values in part.conditions.items())
            assert any(own == key or own.startswith(f"{key}.") for own in point) == holds
        chosen = point.get(key)
        has_inside = isinstance(chosen, dict) and chosen.get("type") in {"t", "u"}
        assert (f"{key}.inside" in point) == has_inside
    assert not broken_rules(space, point)


@FEW
@given(spaces(), st.integers(0, 2**31))
def test_every_random_point_keeps_conditions_and_rules_and_is_a_function_of_seed_and_number(space: Space, seed: int) -> None:
    points = random_points(space, 6, seed)
    assert random_points(space, 3, seed) == points[:3]
    assert len(points) == min(6, distinct_size(space, 6)), "as many as there are"
    assert len({point_name(point) for point in points}) == len(points), "none twice"
    for point in points:
        _keeps(space, point)
        assert point.keys() <= keys_of(space).keys()


@FEW
@given(spaces(finite=True))
def test_a_grid_is_every_point_that_can_be_drawn_once(space: Space) -> None:
    points = grid_points(space)
    assert all(points.count(point) == 1 for point in points)
    for point in points:
        _keeps(space, point)
    drawn = [point_name(point) for point in random_points(space, min(len(points) + 1, 20), seed=1)]
    assert len(drawn) == len(set(drawn)) == min(len(points), 20)
    assert set(drawn) <= set(map(point_name, points))
    assert size(space) == len(points)


@FEW
@given(spaces())
def test_corners_reach_every_end_of_everything_that_is_drawn_unless_a_rule_forbids(space: Space) -> None:
    free = {key: part for key, part in space.items() if not isinstance(part, Rule)}
    points = list(corners(free))
    for name, dimension in axes(free).items():
        key, inside, _ = name.partition(" (")
        reached = [point[key] for point in points if key in point]
        if not inside and "." not in key and not any(isinstance(end, dict) for end in dimension.ends):
            assert all(end in reached for end in dimension.ends)
    for point in corners(space):
        _keeps(space, point)


@FEW
@given(spaces())
def test_a_space_that_is_written_to_a_file_is_read_back(space: Space) -> None:
    again = space_from(yaml.safe_load(yaml.safe_dump(written(space), sort_keys=False)))
    assert written(again) == written(space)
    assert random_points(again, 4, seed=0) == random_points(space, 4, seed=0)
    assert describe(again) == describe(space)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_shares_are_none_below_zero_and_sum_to_one(units: list[float]) -> None:
    shares = shares_of(units)
    assert min(shares) >= 0
    assert math.isclose(sum(shares), 1.0, abs_tol=1e-12)
    assert np.allclose(shares_of(unit_coordinates(shares)), shares, atol=1e-9)


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]])
def test_a_simplex_is_a_flat_dirichlet(names: list[str]) -> None:
    points = random_points({"*.weight": simplex(names, 3.0)}, 800, seed=7)
    for name in names:
        shares = [point[f"{name}.weight"] / 3.0 for point in points]
        assert stats.kstest(shares, stats.beta(1, len(names) - 1).cdf).pvalue > 0.01


def test_a_ratio_is_even_in_its_logarithm() -> None:
    points = random_points({"losses.*.weight": ratio(["dice", "ce"], 0.1, 10, total=2)}, 400, seed=0)
    quotients = [point["losses.dice.weight"] / point["losses.ce.weight"] for point in points]
    assert stats.kstest(np.log10(quotients), stats.uniform(-1, 2).cdf).pvalue > 0.01
    assert all(math.isclose(sum(point.values()), 2.0) for point in points)


WORDS: Space = {
    "optim.lr": log_grid(1e-3, 1e-1, 3),
    "sampling": ohem(),
    "losses.ce.class_weight": class_weight_rule(["median_frequency", "effective_number"], clip=log_uniform(2, 50)),
    "losses.*.weight": simplex(["ce", "dice"], total=2),
    "schedule": choice([{"type": "cosine", "floor": log_uniform(1e-4, 1e-1)}, {"type": "poly"}]),
    "schedule.power": when({"schedule.type": "poly"}, uniform(0.5, 2)),
    "data.transforms.colour": strength({"brightness_delta": 32.0, "contrast_range": [0.5, 1.5], "hue_delta": 18}),
    "dice is not all": require("losses.dice.weight <= 3 * losses.ce.weight"),
}


def test_the_words_make_configs() -> None:
    base = ExperimentConfig().with_({"losses.dice": {"type": "dice"}, "data.transforms.colour": {"type": "photometric"}})
    points = [*corners(WORDS), *random_points(WORDS, 20, seed=0)]
    configs = [base.with_(point) for point in points]
    assert {None if each.sampling is None else each.sampling.type for each in configs} == {None, "ohem"}
    assert {each.schedule.type for each in configs} == {"cosine", "poly"}
    assert all(each.losses["ce"].weight + each.losses["dice"].weight == pytest.approx(2) for each in configs)
    assert set(conditional_axes(WORDS)) == {name for name in axes(WORDS) if "(" in name} | {"schedule.power"}
    assert space_problems(WORDS) == []


def test_a_space_tells_its_size() -> None:
    assert size({"a": grid(0, 1, 5), "b": choice([None, {"c": choice([1, 2])}])}) == 15
    assert size({"a": grid(0, 1, 5), "b": choice([None, {"c": uniform(0, 1)}])}) == math.inf
    assert isinstance(class_weight_each(["sky", "car"], 0.5, 4), Choice)
    assert size({"a": choice([1, 2, 3]), "b": choice([1, 2, 3]), "in order": require("a < b")}) == 3


def of_a_class(limit: float, kept: float) -> Any:
    class Own:
        bound = kept

        @staticmethod
        def test(point: Any) -> bool:
            return bool(point["a"] < limit)

    return Own


def test_functions_are_told_apart_by_what_they_compute_and_not_by_their_names_or_places() -> None:
    def made(limit: float, test: Any = None) -> Any:
        def rule(point: Any) -> bool:
            """What is said here is not computed."""
            return bool(point["a"] < limit) if test is None else bool(test(point))

        return rule

    same = [(made(1), made(1)), (lambda p: p["a"] < 1, lambda p: p["a"] < 1), (partial(made, 1), partial(made, 1))]
    other = [(made(1), made(2)), (lambda p: p["a"] < 1, lambda p: p["a"] < 2), (partial(made, 1), partial(made, 2))]
    other += [(made(1, lambda p: p["a"]), made(1, lambda p: p["b"])), (lambda p, by=1: p + by, lambda p, by=2: p + by)]
    other += [(lambda p: p["a"] < p["b"], lambda p: p["a"] > p["b"]), (lambda p: p.a, lambda p: p.b)]
    for first, second in [*same, (of_a_class(1, 2), of_a_class(1, 2))]:
        assert function_digests(first) == function_digests(second)
    other += [(of_a_class(1, 2), of_a_class(2, 2)), (of_a_class(1, 2), of_a_class(1, 3))]
    for first, second in other:
        assert not function_digests(first).items() & function_digests(second).items()


def test_a_function_is_the_same_in_another_process() -> None:
    asked = "from rayseg.space import function_digests; print(function_digests(lambda p: p['x'] in {'a', 'b', 'c', 'd'}))"
    told = {
        subprocess.run(
            [sys.executable, "-c", asked],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1, "sets have another order there"


def test_a_draw_is_asked_for_what_it_needs_only() -> None:
    asked: list[str] = []

    def draw(name: str, dimension: Dimension) -> Any:
        asked.append(name)
        return dimension.ends[0]

    draw_point(WORDS, draw)
    assert "sampling.thresh (ohem)" not in asked
    assert "schedule.power" not in asked


@pytest.mark.parametrize(
    ("space", "where", "told"),
    [
        ({}, "", "empty"),
        ({"x": require("a < 1")}, "", "empty"),
        ({"a": when({"b": 1}, uniform(0, 1)), "c": choice([1])}, "a", "asks for 'b', which is not searched; searched are c"),
        ({"a": uniform(0, 1), "small": require("b < 1")}, "small", "asks for 'b'"),
        ({"a": uniform(0, 1), "none": require("a > 2")}, "none", "1000 of 1000 random points break this rule"),
        ({"a": when({"b": 1}, choice([1])), "b": when({"a": 1}, choice([1]))}, "a", "round in a circle"),
        ({"weight": simplex(["a", "b"])}, "", r"a mix stands under a key with \*"),
        ({"a": uniform(0, 1), "broken": require(lambda point: point["b"] > 0)}, "broken", "raised KeyError: 'b'"),
        ({"a": choice([None, 1]), "odd": require("a < 2")}, "odd", "raised TypeError"),
    ],
)
def test_what_is_wrong_with_a_space_by_itself_is_told(space: Space, where: str, told: str) -> None:
    problems = space_problems(space)
    with pytest.raises(ConfigError, match=told):
        raise ConfigError(problems)
    assert problems[0].path == where


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"choice": [1], "when": [1]}, r"got when: \[1\]"),
        ({"when": {"a": 1}}, "expected one of choice"),
        ({"grid": [0, 1]}, r"expected three numbers, \[low, high, num\]"),
        ({"simplex": ["a"]}, "two different names"),
        ({"ohem": {"threshold": 0.7}}, "it takes thresh, min_kept, off"),
        ({"ratio": {"names": ["a", "b"]}}, "missing 2 required"),
        ({"class_weight_rule": ["mean"]}, "it knows median_frequency"),
        ({"strength": {"of": {"p": "x"}}}, "expected a number, or a range around 1"),
        ({"strength": {"of": {"p": 1}, "low": -1}}, "0 <= low < high"),
        ({"require": "a"}, "expected a comparison"),
        ({"require": "print(a) < 1"}, "cannot read"),
        ({"require": 3}, "as text"),
        ({"log_grid": [0, 1, 3]}, "expected 0 < low < high"),
        ({"class_weight_each": {"names": [], "low": 1, "high": 2}}, "name them all"),
        ({"choice": [1], "when": {}}, "got no condition"),
    ],
)
def test_a_part_of_a_file_that_cannot_be_is_told_with_its_key(tree: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s)the.key: .*{told}"):
        space_from({"the.key": tree})


def test_a_grid_that_cannot_be_says_why() -> None:
    with pytest.raises(ConfigError, match=r"b: a grid needs values, got 0 to 1, if a is 1"):
        grid_points({"a": choice([1]), "b": when({"a": 1}, uniform(0, 1))})
    with pytest.raises(ConfigError, match="large: no point of the grid keeps all rules"):
        grid_points({"a": choice([1]), "large": require("a > 1")})
