"""Parameter groups against the rules of MMEngine's default constructor, over random models and multipliers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from rayseg.optim import parameter_groups
from rayseg.optim.rules import applied_rules, trainable_entries
from tests.optim.paramwise import Settings, as_rules, by_the_constructor

_LAYERS: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(2, 4, 1),
    "bare": lambda: nn.Conv2d(2, 4, 1, bias=False),
    "dw": lambda: nn.Conv2d(4, 4, 1, groups=4),
    "bn": lambda: nn.BatchNorm2d(2),
    "gn": lambda: nn.GroupNorm(1, 2),
    "ln": lambda: nn.LayerNorm(2),
    "linear": lambda: nn.Linear(2, 3),
    "prelu": lambda: nn.PReLU(3),
    "rnn": lambda: nn.GRUCell(2, 2),
}
_mult = st.none() | st.sampled_from([0.0, 0.1, 1.0, 2.0, 10.0])
_custom = st.fixed_dictionaries(
    {},
    optional={
        "lr_mult": st.sampled_from([0.0, 0.1, 10.0]),
        "decay_mult": st.sampled_from([0.0, 0.5]),
        "momentum": st.just(0.5),
    },
)


@st.composite
def models(draw: st.DrawFn) -> nn.Module:
    def block() -> nn.ModuleDict:
        names = draw(st.lists(st.sampled_from(sorted(_LAYERS)), max_size=4, unique=True))
        return nn.ModuleDict({name: _LAYERS[name]() for name in names})

    model = nn.ModuleDict({name: block() for name in ("backbone", "decode_head", "auxiliary_head")})
    for parameter in model.parameters():
        parameter.requires_grad_(draw(st.integers(0, 5)) > 0)
    return model


paramwises = st.fixed_dictionaries(
    {
        "custom_keys": st.dictionaries(
            st.sampled_from(["head", "decode_head", "backbone", "bn", "bias", "weight", "backbone.conv", "o"]),
            _custom,
            max_size=3,
        ),
        **dict.fromkeys(["bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "dwconv_decay_mult", "flat_decay_mult"], _mult),
    }
)


def settings_of(groups: list[dict[str, Any]]) -> Settings:
    known = {"params", "param_names", "name", "rules", "lr", "weight_decay", "initial_lr"}
    return {
        name: (group["lr"], group["weight_decay"], {key: group[key] for key in group.keys() - known})
        for group in groups
        for name in group["param_names"]
    }


@settings(max_examples=60, deadline=None)
@given(models(), paramwises)
def test_random_models_and_multipliers_get_what_the_constructor_of_mmengine_gives(
    model: nn.Module, paramwise: dict[str, Any]
) -> None:
    assume(any(parameter.requires_grad for parameter in model.parameters()))
    entries, written = trainable_entries(model), as_rules(paramwise)
    rules = {name: rule for name, rule in written.items() if any(applied_rules({name: rule}, entry) for entry in entries)}
    groups = parameter_groups(model, rules, lr=0.01, weight_decay=5e-4)
    assert settings_of(groups) == by_the_constructor(model, paramwise, lr=0.01, weight_decay=5e-4)
    distinct = {repr(value) for value in settings_of(groups).values()}
    assert len(groups) == len(distinct), "parameters with equal settings are in one group"
    assert len({group["name"] for group in groups}) == len(groups), "and each has a name of its own"


def test_the_vector_of_the_specification() -> None:
    """SGD lr .01 wd 5e-4; custom key head lr_mult 10, norm_decay 0, bias_decay 0, bias_lr 2, dwconv_decay .5."""
    model = nn.ModuleDict(
        {"conv": nn.Conv2d(3, 4, 1), "bn": nn.BatchNorm2d(4), "dw": nn.Conv2d(4, 4, 3, groups=4), "head": nn.Conv2d(4, 2, 1)}
    )
    paramwise = {
        "custom_keys": {"head": {"lr_mult": 10.0}},
        "norm_decay_mult": 0.0,
        "bias_decay_mult": 0.0,
        "bias_lr_mult": 2.0,
        "dwconv_decay_mult": 0.5,
        "flat_decay_mult": None,
    }
    groups = parameter_groups(model, as_rules(paramwise), lr=0.01, weight_decay=5e-4)
    assert {name: pair[:2] for name, pair in settings_of(groups).items()} == {
        "conv.weight": pytest.approx((0.01, 5e-4)),
        "conv.bias": pytest.approx((0.02, 0)),
        "bn.weight": pytest.approx((0.01, 0)),
        "bn.bias": pytest.approx((0.01, 0)),
        "dw.weight": pytest.approx((0.01, 2.5e-4)),
        "dw.bias": pytest.approx((0.02, 0)),
        "head.weight": pytest.approx((0.1, 5e-4)),
        "head.bias": pytest.approx((0.1, 5e-4)),
    }
    assert [group["name"] for group in groups] == ["default", "bias", "norm", "depthwise", "key0"]
