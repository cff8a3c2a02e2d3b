"""From a config back to what was drawn for it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rayseg.config import ExperimentConfig
from rayseg.space import Space, choice, draw_point, random_point, random_points, recovered, uniform
from tests.space.spaces import spaces
from tests.space.test_points import WORDS


def _tree(point: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested mappings; the longer ones come after those that they are in."""
    tree: dict[str, Any] = {}
    for key in sorted(point, key=lambda key: key.count(".")):
        *parents, last = key.split(".")
        node = tree
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = copy.deepcopy(point[key])
    return tree


@settings(max_examples=12, deadline=None)
@given(spaces(), st.integers(0, 1000))
def test_what_was_drawn_for_a_point_is_found_again(space: Space, seed: int) -> None:
    point = random_point(space, np.random.default_rng(seed))
    found = recovered(space, _tree(point))
    assert found is not None
    again, drawn = found
    assert again.keys() == point.keys()
    for key, value in point.items():
        assert again[key] == (pytest.approx(value) if isinstance(value, float) else value)
    assert draw_point(space, lambda name, _dimension: drawn[name]) == again


def test_the_words_are_found_in_configs() -> None:
    base = ExperimentConfig().with_({"losses.dice": {"type": "dice"}, "data.transforms.colour": {"type": "photometric"}})
    for point in random_points(WORDS, 12, seed=5):
        config = base.with_(point)
        found = recovered(WORDS, config.to_dict())
        assert found is not None
        again = base.with_(found[0]).to_dict()
        assert again["losses"]["dice"]["weight"] == pytest.approx(config.losses["dice"].weight)
        assert again["schedule"] == config.to_dict()["schedule"]


def test_what_lies_outside_is_not_found() -> None:
    space: Space = {"optim.lr": uniform(0, 0.1), "sampling": choice([None, {"type": "ohem", "thresh": uniform(0.5, 0.9)}])}
    base = ExperimentConfig()
    assert recovered(space, base.with_({"optim.lr": 0.2}).to_dict()) is None
    assert recovered(space, base.with_({"sampling": {"type": "ohem", "thresh": 0.95, "min_kept": 0.1}}).to_dict()) is None
    assert recovered(space, base.with_({"sampling": {"type": "ohem", "thresh": 0.8, "min_kept": 0.1}}).to_dict()) is not None
