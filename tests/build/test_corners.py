"""A recipe of a search is found wrong by the quick check where it is by the whole one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayseg.build import check
from rayseg.build.corners import CornerCheck
from rayseg.testing import tiny_experiment

DICE = {"losses.dice": {"type": "dice"}, "eval.every": 1}
OF_DICE = {"monitor": "val/loss/dice", "patience": 1}


@pytest.mark.parametrize(
    ("base", "point"),
    [
        ({}, {"schedule.powr": 2}),
        ({}, {"optim.lr": 0.1}),
        ({**DICE, "hooks.early": {"type": "early_stopping", **OF_DICE}}, {"losses.dice": None}),
        ({**DICE, "schedule": {"type": "plateau", "mode": "min", **OF_DICE}}, {"losses.dice": None}),
        ({**DICE, "checkpoint.best": "val/loss/dice", "checkpoint.mode": "min"}, {"losses.dice": None}),
        (
            {"freeze.h": {"match": "classifier"}, "optim.groups.h": {"match": "decode_head", "lr_mult": 2.0}},
            {"optim.groups.h.match": "classifier"},
        ),
    ],
)
def test_a_corner_has_the_problems_that_it_has_alone(base: dict[str, Any], point: dict[str, Any], tmp_path: Path) -> None:
    config = tiny_experiment(**{"tracking.storage": str(tmp_path), **base})
    assert check(config) == []
    corner = config.with_(point)
    told = check(corner)
    assert CornerCheck(config)(corner) == told
    assert bool(told) is (point != {"optim.lr": 0.1})
