"""Parameters that are frozen or released during a run are learned alike by every worker, also after it was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rayseg.engine import Fit, fit
from rayseg.testing import run_distributed
from tests.engine.runs import Log, Outcome, compare, finish, full, start, stop

pytestmark = pytest.mark.dist

#: The stem is released after three steps; the classifier never learns.
FROZEN: dict[str, Any] = {
    "train.steps": 6,
    "checkpoint.every": 1,
    "eval.every": 3,
    "freeze.stem": {"match": r"^backbone\.stem", "until": {"steps": 3}},
    "freeze.classifier": {"match": "classifier"},
}


class Freezing:
    """A hook: the stem learns from step 2 on, the classifier until step 3."""

    def before_step(self, run: Fit) -> None:
        model = run.state.model.get_submodule("backbone.stem"), run.state.model.get_submodule("decode_head.classifier")
        for part, learns in zip(model, (run.state.step >= 2, run.state.step < 3), strict=True):
            part.requires_grad_(learns)


def weights(folder: Path) -> Mapping[str, Tensor]:
    run = start(full(**{"train.steps": 5}), folder, hooks={"freezing": Freezing()})
    fit(run)
    return {name: value.clone() for name, value in run.state.model.state_dict().items()}


def test_what_is_released_or_frozen_between_two_steps_is_the_same_on_every_rank(tmp_path: Path) -> None:
    alone = weights(tmp_path / "1")
    first, second = run_distributed(weights, 2, tmp_path / "2")
    for name, value in alone.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=2e-4, atol=2e-4 * float(value.abs().max()), msg=name)


def whole_and_stopped(folder: Path) -> tuple[Outcome, dict[str, list[str]]]:
    """The uninterrupted run, and how those stopped before, at and after the release, and in micro-batches, differ from it."""
    found: dict[str, list[str]] = {}
    for name, config in (("whole", full(**FROZEN)), ("micro", full(**FROZEN, **{"train.micro_batch": 2}))):
        whole = finish(config, folder / name)
        for step in (2, 4, 5):  # resumed at 1, 3 and 4
            logged: Log = {}
            stop(config, folder / f"{name}-{step}", step, logged)
            found[f"{name}, stopped in step {step}"] = compare(finish(config, folder / f"{name}-{step}", logged), whole)
    return finish(full(**FROZEN), folder / "whole"), found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, dict[str, list[str]]]:
    return whole_and_stopped(tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_run_that_was_stopped_beside_the_release_ends_with_the_same_bits(
    alone: tuple[Outcome, dict[str, list[str]]], workers: int, tmp_path: Path
) -> None:
    (outcome, differences), *_ = [alone] if workers == 1 else run_distributed(whole_and_stopped, workers, tmp_path)
    for name, value in alone[0].state["model"].items():
        found = outcome.state["model"][name]
        torch.testing.assert_close(found, value, rtol=2e-3, atol=2e-3 * float(value.abs().max()), msg=name)
    assert not any(differences.values()), differences


def test_what_is_never_released_is_as_it_was_made_statistics_included(tmp_path: Path) -> None:
    run = start(full(**FROZEN, **{"freeze.stem.until": None}), tmp_path)
    before = {name: value.clone() for name, value in run.state.model.state_dict().items()}
    fit(run)
    after = run.state.model.state_dict()
    same = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert same == {name for name in before if "stem" in name or "classifier" in name}
