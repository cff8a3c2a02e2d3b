"""A number that changes over the run."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayseg.errors import ConfigError
from rayseg.sampling import SHAPES, Ramp

ends = st.one_of(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), st.tuples(st.floats(1e-3, 1.0), st.floats(1e-3, 1.0)))


@given(ends, st.sampled_from(SHAPES), st.integers(0, 50), st.integers(1, 200))
def test_it_goes_from_one_end_to_the_other_and_never_back(
    values: tuple[float, float], shape: str, begin: int, length: int
) -> None:
    first, to = values
    ramp = Ramp(first, to, begin, begin + length, shape)  # type: ignore[arg-type]
    path = [ramp(step) for step in range(begin + length + 3)]
    assert path[: begin + 1] == [first] * (begin + 1)
    assert path[begin + length :] == [to] * 3
    assert all((b - a) * (to - first) >= -1e-9 for a, b in pairwise(path))
    assert all(type(value) is type(first) for value in path)


def test_shapes_are_their_formulas() -> None:
    quarter = {shape: Ramp(2.0, 1.0, 10, 50, shape, 2.0)(20) for shape in SHAPES}
    expected = {"linear": 1.75, "cosine": 1 + (1 + math.cos(math.pi / 4)) / 2, "poly": 1 + 0.75**2, "exp": 2**0.75}
    assert quarter == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"begin": 5, "end": 5}, "begin"),
        ({"begin": -1, "end": 5}, "begin"),
        ({"begin": 0, "end": 5, "shape": "exp", "to": 0.0}, "shape"),
        ({"begin": 0, "end": 5, "power": 0.0}, "power"),
    ],
)
def test_senseless_ramps_are_refused(arguments: dict[str, float], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Ramp(**{"first": 1.0, "to": 0.5, **arguments})  # type: ignore[arg-type]
    assert [problem.path for problem in caught.value.problems] == [path]
