"""Parameter groups: what MMSegmentation's rules give, and nothing dropped in silence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from rayseg.config import GroupRule
from rayseg.errors import ConfigError
from rayseg.optim import Rule, RuleLike, parameter_groups


class Net(nn.Module):
    """One parameter of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.bn = nn.BatchNorm2d(4)
        self.dw = nn.Conv2d(4, 4, 3, groups=4)
        self.head = nn.Conv2d(4, 2, 1)


def settings(groups: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Learning rate and decay of each parameter."""
    return {name: (group["lr"], group["weight_decay"]) for group in groups for name in group["param_names"]}


def group(model: nn.Module, **rules: RuleLike) -> list[dict[str, Any]]:
    return parameter_groups(model, rules, lr=0.01, weight_decay=5e-4)


def approximately(**expected: tuple[float, float]) -> dict[str, Any]:
    return {name.replace("__", "."): pytest.approx(pair) for name, pair in expected.items()}


def test_rules_give_what_mmengine_gives() -> None:
    groups = group(
        Net(),
        head=Rule(match="head", lr_mult=10.0, final=True),
        depthwise=Rule(kind="depthwise", decay_mult=0.5),
        bias=Rule(kind="bias", lr_mult=2.0, decay_mult=0.0),
        norm=Rule(kind="norm", decay_mult=0.0),
    )
    assert settings(groups) == approximately(
        conv__weight=(0.01, 5e-4),
        conv__bias=(0.02, 0),
        bn__weight=(0.01, 0),
        bn__bias=(0.01, 0),
        dw__weight=(0.01, 2.5e-4),
        dw__bias=(0.02, 0),
        head__weight=(0.1, 5e-4),
        head__bias=(0.1, 5e-4),
    )


def test_rules_of_the_config_serve_as_they_are() -> None:
    groups = group(Net(), head=GroupRule(match="head", lr_mult=10.0))
    assert settings(groups)["head.bias"] == pytest.approx((0.1, 5e-4))


def test_later_rules_override_only_what_they_name() -> None:
    groups = group(
        Net(),
        all=Rule(match=".", lr_mult=3.0, decay_mult=3.0),
        head=Rule(match="^head", lr_mult=10.0),
        bias=Rule(kind="bias", decay_mult=0.0),
    )
    found = settings(groups)
    assert found["head.weight"] == pytest.approx((0.1, 15e-4))
    assert found["head.bias"] == pytest.approx((0.1, 0))
    assert found["conv.bias"] == pytest.approx((0.03, 0))


def test_a_pattern_and_a_kind_must_both_hold() -> None:
    found = settings(group(Net(), head_bias=Rule(match="head", kind="bias", lr_mult=0.0)))
    assert [name for name, (lr, _) in found.items() if lr == 0] == ["head.bias"]


def test_groups_are_few_named_and_hold_every_parameter_once() -> None:
    model = Net()
    groups = group(model, head=Rule(match="head", lr_mult=10.0), bias=Rule(kind="bias", decay_mult=0.0))
    assert [g["name"] for g in groups] == ["default", "bias", "head", "head+bias"]
    assert all(g["initial_lr"] == g["lr"] for g in groups)
    by_name = {name: p for g in groups for name, p in zip(g["param_names"], g["params"], strict=True)}
    assert by_name.keys() == dict(model.named_parameters()).keys()
    assert all(by_name[name] is p for name, p in model.named_parameters())
    assert group(model)[0]["param_names"] == [name for name, _ in model.named_parameters()]


def test_frozen_parameters_are_left_out_and_shared_ones_come_once() -> None:
    model = Net()
    model.conv.requires_grad_(requires_grad=False)
    tied = nn.ModuleDict({"first": model, "second": model.head})
    names = [name for g in group(tied) for name in g["param_names"]]
    assert names == [f"first.{name}" for name in ("bn.weight", "bn.bias", "dw.weight", "dw.bias", "head.weight", "head.bias")]


def test_tied_weights_come_once_under_their_first_name() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    assert [g["param_names"] for g in group(model)] == [["0.weight"]]


@pytest.mark.parametrize(
    "norm",
    [nn.BatchNorm1d(2), nn.SyncBatchNorm(2), nn.InstanceNorm2d(2, affine=True), nn.GroupNorm(1, 2), nn.LayerNorm(2)],
    ids=lambda norm: type(norm).__name__,
)
def test_every_norm_is_a_norm_and_its_bias_no_bias(norm: nn.Module) -> None:
    model = nn.Sequential(norm, nn.Linear(2, 2))
    groups = group(model, norm=Rule(kind="norm", decay_mult=0.0), bias=Rule(kind="bias", lr_mult=2.0))
    assert {g["name"]: g["param_names"] for g in groups} == {
        "norm": ["0.weight", "0.bias"],
        "default": ["1.weight"],
        "bias": ["1.bias"],
    }


def test_a_convolution_of_one_channel_is_not_depthwise() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 4, 1, groups=2), nn.Conv2d(4, 4, 1, groups=2))
    groups = group(model, depthwise=Rule(kind="depthwise", decay_mult=0.0))
    assert next(g for g in groups if g["name"] == "depthwise")["param_names"] == ["1.weight", "1.bias"]


def test_rules_that_select_nothing_are_all_named_with_a_remedy() -> None:
    model = nn.ModuleDict({"backbone": nn.Conv2d(3, 4, 1), "classifier": nn.Conv2d(4, 2, 1)})
    model["backbone"].requires_grad_(requires_grad=False)
    with pytest.raises(ConfigError) as caught:
        group(
            model,
            head=Rule(match="classifer", lr_mult=10.0),
            frozen=Rule(match="backbone", lr_mult=0.1),
            norm=Rule(kind="norm", decay_mult=0.0),
            broken=Rule(match="head(", lr_mult=2.0),
            fine=Rule(match="classifier", lr_mult=2.0),
        )
    problems = {problem.path: problem.message for problem in caught.value.problems}
    assert problems == {
        "optim.groups.head": "pattern 'classifer' matched none of the 2 trainable parameters; first names: "
        "classifier.weight, classifier.bias. Did you mean 'classifier'?",
        "optim.groups.frozen": "pattern 'backbone' matched none of the 2 trainable parameters; first names: "
        "classifier.weight, classifier.bias",
        "optim.groups.norm": "kind 'norm' matched none of the 2 trainable parameters; first names: "
        "classifier.weight, classifier.bias",
        "optim.groups.broken": problems["optim.groups.broken"],
    }
    assert problems["optim.groups.broken"].startswith("pattern 'head(' is no regular expression: ")


def test_an_optimizer_takes_the_groups_and_its_state_comes_back() -> None:
    model = Net()
    rules = {"head": Rule(match="head", lr_mult=10.0), "norm": Rule(kind="norm", decay_mult=0.0)}

    def make() -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameter_groups(model, rules, lr=0.01, weight_decay=0.1))

    optimizer = make()
    model.head.weight.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    state = optimizer.state_dict()
    again = make()
    again.load_state_dict(state)
    assert [g["name"] for g in again.param_groups] == ["default", "norm", "head"]
    assert again.state_dict()["param_groups"] == state["param_groups"]


TYPICAL = {
    "head": Rule(match="head", lr_mult=10.0),
    "norms": Rule(kind="norm", decay_mult=0.0),
    "biases": Rule(kind="bias", decay_mult=0.0),
    "unchanged": Rule(match="conv.weight", lr_mult=1.0),
}


def test_parameters_with_equal_settings_share_a_group_whatever_rules_led_there() -> None:
    groups = group(Net(), **TYPICAL)
    assert {g["name"]: g["param_names"] for g in groups} == {
        "unchanged or default": ["conv.weight", "dw.weight"],
        "biases or norms": ["conv.bias", "bn.weight", "bn.bias", "dw.bias"],
        "head": ["head.weight"],
        "head+biases": ["head.bias"],
    }
    assert [g["rules"] for g in groups] == [[["unchanged"], []], [["biases"], ["norms"]], [["head"]], [["head", "biases"]]]


@pytest.mark.parametrize(
    "make",
    [
        lambda groups: torch.optim.SGD(groups, momentum=0.9),
        torch.optim.AdamW,
        lambda groups: torch.optim.Adam(groups, foreach=True),
    ],
)
def test_a_step_over_merged_groups_has_the_same_bits_as_one_group_per_parameter(make: Any) -> None:
    def weights(*, merged: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = Net()
        groups = group(model, **TYPICAL)
        alone = [
            {**g, "params": [p], "param_names": [n]} for g in groups for n, p in zip(g["param_names"], g["params"], strict=True)
        ]
        assert (len(groups), len(alone)) == (4, 8)
        optimizer = make(groups if merged else alone)
        for _ in range(3):
            for number, parameter in enumerate(model.parameters()):
                parameter.grad = torch.sin(parameter.detach() * 7 + number)
            optimizer.step()
        return [parameter.detach() for parameter in model.parameters()]

    assert all(torch.equal(one, other) for one, other in zip(weights(merged=True), weights(merged=False), strict=True))


def test_flat_is_every_parameter_of_one_dimension_and_later_rules_take_the_rest_back() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.PReLU(4))
    groups = group(model, flat=Rule(kind="flat", decay_mult=0.0), norm=Rule(kind="norm", decay_mult=1.0))
    assert {g["name"]: g["param_names"] for g in groups} == {
        "default or norm": ["0.weight", "1.weight", "1.bias"],
        "flat": ["0.bias", "2.weight"],
    }


def test_settings_of_later_rules_override_those_that_they_name() -> None:
    groups = group(
        Net(),
        all=Rule(match=".", settings={"momentum": 0.5, "nesterov": True}),
        head=Rule(match="head", settings={"momentum": 0.8}),
    )
    assert [(g["name"], g["momentum"], g["nesterov"]) for g in groups] == [("all", 0.5, True), ("all+head", 0.8, True)]
    sgd = torch.optim.SGD(groups, lr=1.0, momentum=0.9)
    assert [g["momentum"] for g in sgd.param_groups] == [0.5, 0.8]


def test_names_of_many_rules_are_cut_but_tell_groups_apart() -> None:
    model = nn.ModuleList([nn.Linear(1, 1) for _ in range(5)])
    rules: dict[str, RuleLike] = {f"r{n}": Rule(match=f"{n}.weight", lr_mult=2.0) for n in range(5)}
    assert [g["name"] for g in group(model, **rules)] == ["r0 or r1 or r2 or ...", "default"]
