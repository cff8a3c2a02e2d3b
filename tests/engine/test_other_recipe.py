"""A run that goes on from the checkpoint of another recipe: weights and moments of that, rates of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rayseg.engine import fit
from rayseg.engine.other_recipe import load_moments
from rayseg.errors import CheckpointError
from rayseg.optim import Rule, apply_schedule, parameter_groups
from tests.engine.runs import differences, finish, full, start, stop

SHORT = {"train.steps": 4, "eval.every": 4, "sampling.schedule.min_kept.end": 4}
RATES = st.sampled_from([0.1, 1.0, 3.0])


def _optimizer(model: nn.Module, lr: float, decay: float, mult: float, momentum: float) -> torch.optim.Optimizer:
    rules = {"second": Rule(match="^1", lr_mult=mult), "biases": Rule(kind="bias", decay_mult=0.0)}
    return torch.optim.SGD(parameter_groups(model, rules, lr=lr, weight_decay=decay), momentum=momentum)


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, multiplier: float) -> None:
    apply_schedule(optimizer, multiplier)
    optimizer.zero_grad()
    model(torch.ones(2, 3)).square().sum().backward()
    optimizer.step()


@given(lr=RATES, decay=RATES, mult=RATES, momentum=st.sampled_from([0.5, 0.9]))
def test_the_next_step_is_that_of_the_new_recipe_with_the_old_moments(
    lr: float, decay: float, mult: float, momentum: float
) -> None:
    donor = _model()
    old = _optimizer(donor, 0.01, 0.1, 2.0, 0.9)
    for multiplier in (1.0, 0.5):
        _step(donor, old, multiplier)
    after = _model()
    after.load_state_dict(donor.state_dict())
    new = _optimizer(after, 0.01 * lr, 0.1 * decay, mult, momentum)
    load_moments(new, old.state_dict())
    moments = {name: old.state[parameter]["momentum_buffer"].clone() for name, parameter in donor.named_parameters()}
    weights = {name: parameter.detach().clone() for name, parameter in after.named_parameters()}
    _step(after, new, 0.25)
    for name, parameter in after.named_parameters():
        assert parameter.grad is not None
        rate = 0.01 * lr * (mult if name.startswith("1") else 1.0) * 0.25
        gradient = parameter.grad + (0.0 if name.endswith("bias") else 0.1 * decay) * weights[name]
        torch.testing.assert_close(parameter.detach(), weights[name] - rate * (momentum * moments[name] + gradient))


def test_an_optimizer_over_other_parameters_is_refused() -> None:
    donor = _optimizer(_model(), 0.1, 0.1, 1.0, 0.9)
    other = torch.optim.SGD([("0.weight", nn.Parameter(torch.ones(1)))], lr=0.1)
    with pytest.raises(CheckpointError, match=r"other parameters \(0\.bias, 1\.bias"):
        load_moments(other, donor.state_dict())


@pytest.mark.parametrize("changed", [{}, {"optim.lr": 3e-3, "optim.weight_decay": 0.2}])
def test_a_run_goes_on_with_its_own_recipe(changed: dict[str, Any], tmp_path: Path) -> None:
    """With the same recipe bit for bit as if it had not been told; with another one at the other's rate."""
    stop(full(**SHORT), tmp_path, 3)
    run = start(full(**SHORT, **changed), tmp_path)
    run.other_recipe = True
    fit(run)
    (group, *_) = run.state.optimizer.param_groups
    assert (group["initial_lr"], group["weight_decay"]) == (
        changed.get("optim.lr", 1e-3),
        changed.get("optim.weight_decay", 0.01),
    )
    assert group["lr"] == pytest.approx(group["initial_lr"] * run.schedule(3, 4))
    whole = finish(full(**SHORT), tmp_path / "whole")
    assert (differences(run.state.state_dict()["model"], whole.state["model"]) == []) == (not changed)
