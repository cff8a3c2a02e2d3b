"""Hooks that could not do what they are there for are told before the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayseg.build import check
from rayseg.testing import tiny_experiment


class Good:
    def on_end(self, run: Any) -> None: ...


class Urgent(Good):
    priority = "URGENT"


class Number:
    on_end = 3


class FewArguments:
    def after_step(self) -> None: ...


class Forgetful(Good):
    def state_dict(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (Good, None),
        (Urgent, "has the priority 'URGENT'; expected HIGHEST, VERY_HIGH"),
        (Number, "cannot be called as on_end(run): 3 is not a callable object"),
        (FewArguments, "cannot be called as after_step(run, parts): too many positional arguments"),
        (Forgetful, "has state_dict and no load_state_dict, so what is saved would never come back"),
    ],
)
def test_a_hook_is_looked_at_before_it_is_called(hook: type, says: str | None, tmp_path: Path) -> None:
    config = tiny_experiment(**{"tracking.storage": str(tmp_path), "hooks.own": {"type": "own"}})
    told = [str(problem) for problem in check(config, {"own": hook})]
    assert len(told) == (says is not None)
    assert not told or told[0].startswith(f"hooks.own: 'own' {says}")


def test_a_priority_in_the_config_takes_the_place_of_the_hook_s(tmp_path: Path) -> None:
    own = {"hooks.own": {"type": "own", "priority": "HIGH"}, "tracking.storage": str(tmp_path)}
    assert check(tiny_experiment(**own), {"own": Urgent}) == []
