"""Searchers that learn: they draw from the space, keep its rules, learn from what they are told, and go on from a file."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
from hypothesis import given, settings

from rayseg.errors import ConfigError
from rayseg.space import (
    Choice,
    Listed,
    OptunaAsker,
    Space,
    broken_rules,
    choice,
    distinct_size,
    draw_point,
    log_uniform,
    require,
    simplex,
    uniform,
)
from tests.space.spaces import spaces

pytest.importorskip("optuna")


def _asked(asker: OptunaAsker) -> tuple[int, dict[str, Any]]:
    found = asker.ask()
    assert found is not None
    return found


@settings(max_examples=3, deadline=None)
@given(spaces())
def test_every_proposal_is_a_point_of_the_space_that_keeps_its_rules(space: Space) -> None:
    asker = OptunaAsker(space, ["max"], seed=0)
    for index in range(int(min(4, distinct_size(space, 4)))):
        number, point = _asked(asker)
        assert not broken_rules(space, point)
        asker.tell(number, None if index == 2 else [float(index)], step=3 if index == 1 else None)


def test_a_rule_that_few_proposals_keep_is_kept() -> None:
    space: Space = {"a": uniform(0, 1), "rare": require("a < 0.01")}
    asker = OptunaAsker(space, ["max"], seed=3)
    for _ in range(3):
        number, point = _asked(asker)
        assert point["a"] < 0.01
        asker.tell(number, [point["a"]])


HILL: Space = {"x": uniform(0, 1), "y": log_uniform(1e-3, 1.0), "kind": choice([{"type": "a"}, {"type": "b"}])}


def _climb(asker: OptunaAsker, num: int) -> list[float]:
    scores = []
    for _ in range(num):
        number, point = _asked(asker)
        score = -((point["x"] - 0.3) ** 2) - (math.log10(point["y"]) + 1.5) ** 2 - (point["kind"]["type"] == "a")
        asker.tell(number, [score])
        scores.append(score)
    return scores


def test_it_learns_and_says_the_same_for_the_same_seed() -> None:
    found = [_climb(OptunaAsker(HILL, ["max"], seed=seed), 30) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert max(found[0]) > -0.05


def test_what_is_known_beforehand_is_learnt_from() -> None:
    known = [({"x": 0.3, "y": 10**-1.5 * (1 + 0.01 * step), "kind": {"type": "b"}}, [-0.001 * step]) for step in range(6)]
    far = [({"x": 0.9, "y": 0.9, "kind": {"type": "a"}}, [-3.0 - step]) for step in range(6)]
    cold = [score for seed in range(4) for score in _climb(OptunaAsker(HILL, ["max"], seed=seed), 4)]
    warm = [score for seed in range(4) for score in _climb(OptunaAsker(HILL, ["max"], seed=seed, known=known + far), 4)]
    assert sum(warm) > 0.8 * sum(cold)


def test_an_asker_that_was_kept_goes_on_as_it_would_have() -> None:
    asker = OptunaAsker(HILL, ["max"], seed=0)
    _climb(asker, 12)
    again = pickle.loads(pickle.dumps(asker))
    assert again.ask() == _asked(asker)


def test_two_objectives_are_learnt_together() -> None:
    asker = OptunaAsker({"x": uniform(0, 1)}, ["max", "min"], seed=0)
    points = []
    for _ in range(20):
        number, point = _asked(asker)
        points.append(point["x"])
        asker.tell(number, [point["x"], point["x"] ** 2])
    assert max(points) - min(points) > 0.3


def test_a_gaussian_process_proposes_points_too() -> None:
    asker = OptunaAsker({"*.weight": simplex(["a", "b"])}, ["max"], seed=0, method="gp")
    number, point = _asked(asker)
    assert math.isclose(sum(point.values()), 1.0)
    asker.tell(number, [1.0])


def test_a_dimension_that_optuna_does_not_know_is_told() -> None:
    class Odd(Choice):
        pass

    class Strange:
        ends = (0, 1)

        def sample(self, _rng: object) -> int:
            return 0

        def point(self, key: str, draw: object) -> dict[str, object]:
            return {key: draw(key, self)}  # type: ignore[operator]

    assert draw_point({"a": Odd((1,))}, lambda _name, dimension: dimension.ends[0]) == {"a": 1}
    with pytest.raises(ConfigError, match=r"a: .*not a dimension that Optuna knows; use choice"):
        OptunaAsker({"a": Strange()}, ["max"], seed=0).ask()


@pytest.mark.parametrize("method", ["optuna", "gp"])
def test_no_point_is_proposed_twice_or_known_and_there_is_an_end(method: Any) -> None:
    space: Space = {"a": choice([0, 1, 2]), "b": choice(["x", "y", "x"])}
    asker = OptunaAsker(space, ["max"], seed=0, method=method, known=[({"a": 0, "b": "x"}, [5.0])])
    points = []
    for _ in range(5):
        number, point = _asked(asker)
        points.append((point["a"], point["b"]))
        asker.tell(number, [float(point["a"] + (point["b"] == "x"))])
    assert sorted(points) == [(0, "y"), (1, "x"), (1, "y"), (2, "x"), (2, "y")]
    assert asker.ask() is None


def test_listed_points_end() -> None:
    asker = Listed([{"a": 1}, {"a": 2}])
    assert [asker.ask(), asker.ask(), asker.ask()] == [(0, {"a": 1}), (1, {"a": 2}), None]
    asker.tell(0, [1.0])


def test_a_trial_with_several_scores_that_ended_early_costs_itself_only() -> None:
    asker = OptunaAsker({"a": uniform(0, 1)}, ["max", "min"], seed=0)
    for scores, step in (([0.4, 2.0], 3), ([0.5, 1.0], None), (None, 2)):
        number, _ = _asked(asker)
        asker.tell(number, scores, step=step)
    assert _asked(asker)[0] == 3
