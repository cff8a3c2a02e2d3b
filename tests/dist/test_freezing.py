"""Parameters that are frozen or released during a run are learned alike by every worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rayseg.engine import Fit, fit
from rayseg.testing import run_distributed
from tests.engine.runs import full, start

pytestmark = pytest.mark.dist


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
