"""What is frozen stays as it is until its step, and then learns."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rayseg.errors import ConfigError
from rayseg.models import Freeze, Freezing, prepare


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
    )


def train(model: nn.Module, freezing: Freezing, steps: int) -> list[dict[str, Tensor]]:
    """Weights and statistics after each step of AdamW with much weight decay and momentum."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    states = [copy.deepcopy(model.state_dict())]
    for step in range(steps):
        freezing.apply(model, step)
        freezing.hold_statistics(model.train(), step)
        model(torch.randn(4, 3, 5, 5)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        states.append(copy.deepcopy(model.state_dict()))
    return states


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


@pytest.mark.parametrize("norm", ["batch", "sync"])
def test_neither_decay_nor_momentum_nor_statistics_move_what_is_frozen(norm: str) -> None:
    model = prepare(net(), norm=norm)  # type: ignore[arg-type]
    states = train(model, Freezing(model, {"stem": Freeze("^[012]", until_step=2)}), 3)
    frozen = {name for name in states[0] if name[0] in "012"}
    assert moved(states[0], states[2]) == set(states[0]) - frozen
    assert moved(states[2], states[3]) == set(states[0])


def test_statistics_move_where_they_are_not_frozen() -> None:
    model = net()
    states = train(model, Freezing(model, {"stem": Freeze("^[012]", statistics=False)}), 2)
    assert {name for name in moved(states[0], states[2]) if name[0] in "012"} == {
        f"{norm}.{name}" for norm in "12" for name in ("running_mean", "running_var", "num_batches_tracked")
    }


def test_statistics_are_held_only_where_all_parameters_of_a_norm_are() -> None:
    model = net()
    Freezing(model, {"biases": Freeze("bias$")}).hold_statistics(model.train(), 0)
    assert all(module.training for module in model)
    Freezing(model, {"biases": Freeze("^1.bias$"), "scales": Freeze("^1.weight$", 3)}).hold_statistics(model, 2)
    assert [module.training for module in model] == [True, False, True, True, True]


def test_only_the_norm_itself_is_held() -> None:
    model = net()
    act = nn.Dropout(0.5)
    model[1].add_module("act", act)
    Freezing(model, {"stem": Freeze("^1")}).hold_statistics(model.train(), 0)
    assert (model[1].training, act.training) == (False, True)


def test_what_the_model_holds_fixed_is_never_released() -> None:
    model = net()
    model[0].weight.requires_grad_(False)
    freezing = Freezing(model, {"stem": Freeze("^0", until_step=1)})
    assert freezing.frozen(0) == ("0.bias",)
    freezing.apply(model, 5)
    assert not model[0].weight.requires_grad
    assert model[0].bias.requires_grad


ENDS = st.none() | st.integers(1, 6)


@given(ends=st.lists(ENDS, min_size=1, max_size=3), step=st.integers(0, 7))
def test_a_parameter_is_frozen_while_one_of_its_rules_holds(ends: list[int | None], step: int) -> None:
    model = net()
    freezing = Freezing(model, {str(number): Freeze("^0", end) for number, end in enumerate(ends)})
    last = max(math.inf if end is None else end for end in ends)
    assert freezing.frozen(step) == (("0.weight", "0.bias") if step < last else ())
    freezing.apply(model, step)
    assert model[0].weight.requires_grad is (step >= last)
    assert model[3].weight.requires_grad


@given(steps=st.permutations(range(5)))
def test_what_is_frozen_is_a_function_of_the_step_alone(steps: list[int]) -> None:
    model = net()
    freezing = Freezing(model, {"a": Freeze("^0", 2), "b": Freeze("^1", 3), "c": Freeze("^4")})
    for step in steps:
        freezing.apply(model, step)
        freezing.hold_statistics(model.train(), step)
        learns = [module.weight.requires_grad for module in (model[0], model[1], model[3], model[4])]
        assert learns == [step >= 2, step >= 3, True, False]
        assert [model[1].training, model[4].training] == [step >= 3, False]


def test_every_rule_that_selects_nothing_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        Freezing(net(), {"a": Freeze("x"), "b": Freeze("("), "c": Freeze("^0")})
    assert [problem.path for problem in caught.value.problems] == ["freeze.a", "freeze.b"]
