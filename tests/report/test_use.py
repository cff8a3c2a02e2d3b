"""How a cluster was used, from the times of loops: what is counted adds up, whoever had which place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayseg.report import ClusterUse, Span, cluster_use


@st.composite
def searches(draw: st.DrawFn) -> tuple[list[list[Span]], Span, int, list[float], list[float]]:
    """Trials in places that all begin before one is free, in any order; what lies before their first loops and between."""
    places, gaps = draw(st.integers(1, 4)), st.integers(1, 9)
    loops: list[list[Span]] = []
    first: list[float] = []
    between: list[float] = []
    for _ in range(places):
        now = 100.0
        for number in range(draw(st.integers(1, 4))):
            gap, length = draw(gaps), draw(gaps) + (0 if number else 9)
            (between if number else first).append(float(gap))
            loops.append([(now + gap, now + gap + length)])
            now += gap + length
    end = max(loop[0][1] for loop in loops) + draw(gaps)
    return draw(st.permutations(loops)), (100.0, end), places, first, between


@given(searches())
def test_time_of_the_places_is_loops_and_gaps_and_waiting(
    search: tuple[list[list[Span]], Span, int, list[float], list[float]],
) -> None:
    loops, part, places, first, between = search
    use = cluster_use(loops, [part], places)
    assert use is not None
    room = places * (part[1] - part[0])
    assert (use.trials, use.places, use.seconds) == (len(loops), places, part[1] - part[0])
    assert use.busy * room == pytest.approx(sum(end - start for ((start, end),) in loops))
    assert use.first_s == pytest.approx(sum(first) / len(first))
    freed = sorted(end for ((_, end),) in loops)[: len(between)]  # the first that were free
    followed = sum(sorted(start for ((start, _),) in loops)[places:]) - sum(freed)
    assert (use.between_s or 0.0) * len(between) == pytest.approx(followed)
    assert followed >= sum(between) - 1e-6
    assert use.waiting * room == pytest.approx(room * (1 - use.busy) - sum(first) - followed)


def test_parts_of_a_search_are_joined_and_what_lies_between_them_is_not_counted() -> None:
    loops = [[(2.0, 4.0), (101.0, 103.0)], [(5.0, 8.0)], [(50.0, 60.0)]]
    use = cluster_use(loops, [(0.0, 10.0), (100.0, 110.0)], places=1)
    assert use is not None
    assert use == ClusterUse(2, 1, 20.0, 360.0, 7 / 20, use.waiting, 1.5, 1.0)
    assert use.waiting == pytest.approx((2 + 7) / 20)


def test_more_loops_at_a_time_than_places_are_taken_as_more_places() -> None:
    use = cluster_use([[(0.0, 6.0)], [(5.9, 10.0)]], [(0.0, 10.0)], places=1)
    assert use is not None
    assert (use.places, use.between_s) == (2, None)
    assert 0 <= use.waiting <= 1


def test_a_search_without_a_loop_has_no_use() -> None:
    assert cluster_use([[], []], [(0.0, 9.0)], places=2) is None
    assert cluster_use([[(1.0, 2.0)]], [], places=2) is None


def test_it_is_told_in_two_lines() -> None:
    assert str(ClusterUse(2, 1, 20.0, 360.0, 0.35, 0.45, 1.5, None)) == (
        "2 trials in 20 s, 360 an hour, 1 at a time\ntraining 35% of that time, waiting for the last 45%; 1.5 s to a first step"
    )
