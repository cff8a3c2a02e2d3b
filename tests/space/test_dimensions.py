"""Search spaces: the same points for the same seed, corners that reach every end, faults that say what to do."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayseg.errors import ConfigError
from rayseg.space import (
    FlatSpace,
    choice,
    corners,
    describe,
    grid_points,
    int_uniform,
    log_uniform,
    random_points,
    uniform,
)

SPACE: FlatSpace = {
    "optim.lr": log_uniform(1e-4, 1e-1),
    "sampling.thresh": uniform(0.5, 0.9),
    "losses.dice.weight": choice([0.0, 1.0, 3.0]),
    "model.depth": int_uniform(2, 4),
}


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_a_longer_search_begins_like_a_shorter_one(seed: int, num: int) -> None:
    assert random_points(SPACE, num + 5, seed)[:num] == random_points(SPACE, num, seed)


@given(st.integers(0, 2**32))
def test_points_lie_between_the_ends(seed: int) -> None:
    for point in random_points(SPACE, 5, seed):
        assert list(point) == list(SPACE)
        assert 1e-4 <= point["optim.lr"] <= 1e-1
        assert 0.5 <= point["sampling.thresh"] <= 0.9
        assert point["losses.dice.weight"] in (0.0, 1.0, 3.0)
        assert point["model.depth"] in (2, 3, 4)


def test_another_seed_gives_other_points() -> None:
    assert random_points(SPACE, 3, seed=0) != random_points(SPACE, 3, seed=1)


def test_values_are_plain_python() -> None:
    for point in random_points(SPACE, 4, seed=0):
        assert [type(value) for value in point.values()] == [float, float, float, int]


def test_every_value_of_a_choice_and_both_ends_of_whole_numbers_come() -> None:
    points = random_points(SPACE, 60, seed=0)
    assert {point["losses.dice.weight"] for point in points} == {0.0, 1.0, 3.0}
    assert {point["model.depth"] for point in points} == {2, 3, 4}


def test_a_logarithmic_dimension_is_even_in_decades() -> None:
    decades = [math.floor(math.log10(point["optim.lr"])) for point in random_points(SPACE, 600, seed=3)]
    for decade in (-4, -3, -2):
        assert 150 < decades.count(decade) < 250


def test_corners_reach_every_end_of_every_dimension() -> None:
    points = list(corners(SPACE))
    for key, dimension in SPACE.items():
        assert {point[key] for point in points} == set(dimension.ends)
    assert {key: dimension.ends[-1] for key, dimension in SPACE.items()} in points
    assert len(points) == 1 + 1 + 1 + 2 + 1 + 1


def test_corners_of_one_dimension_are_its_ends_once() -> None:
    assert list(corners({"a": uniform(0, 1)})) == [{"a": 0}, {"a": 1}]


def test_a_grid_is_every_combination() -> None:
    points = grid_points({"a": choice([1, 2, 3]), "b": choice([None, {"type": "ohem"}])})
    assert len(points) == 6
    assert all(points.count(point) == 1 for point in points)


def test_a_grid_of_something_open_says_which_key() -> None:
    with pytest.raises(ConfigError, match=r"optim.lr: a grid needs values, got 0.1 to 1.*choice"):
        grid_points({"optim.lr": uniform(0.1, 1), "a": choice([1])})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: choice([]), "got no values"),
        (lambda: uniform(1, 1), "low 1 and high 1; low must be less"),
        (lambda: uniform(2, 1), "low 2 and high 1"),
        (lambda: log_uniform(0, 1), "expected 0 < low < high"),
        (lambda: log_uniform(-1, 1), "expected 0 < low < high"),
        (lambda: int_uniform(3, 2), "low 3 and high 2"),
    ],
)
def test_a_dimension_that_cannot_be_is_refused(make: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        make()
    assert "search space" in str(caught.value)


def test_a_space_is_described_one_line_per_key() -> None:
    assert describe(SPACE).splitlines() == [
        "optim.lr            0.0001 to 0.1, log",
        "sampling.thresh     0.5 to 0.9",
        "losses.dice.weight  one of 0.0, 1.0, 3.0",
        "model.depth         2 to 4, whole",
    ]
    assert describe({}) == ""
