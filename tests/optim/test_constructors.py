"""Groups from a function of the model, layer-wise decay, and what rules do on top."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rayseg.errors import ConfigError
from rayseg.optim import Rule, layer_decay, parameter_groups


class Vit(nn.Module):
    """Names of MMSegmentation's BEiT: three blocks, a position embedding, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.backbone.pos_embed = nn.Parameter(torch.zeros(1, 5, 4))
        self.backbone.patch_embed = nn.Conv2d(3, 4, 2)
        self.backbone.layers = nn.ModuleList(nn.ModuleDict({"ln": nn.LayerNorm(4), "ffn": nn.Linear(4, 4)}) for _ in range(3))
        self.decode_head = nn.Conv2d(4, 2, 1)


class Resnet(nn.Module):
    """A stem and two stages of two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.conv1, self.backbone.bn1 = nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)
        for stage in (1, 2):
            blocks = [nn.ModuleDict({"conv1": nn.Conv2d(4, 4, 1, bias=False), "bn1": nn.BatchNorm2d(4)}) for _ in range(2)]
            self.backbone.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.decode_head = nn.Conv2d(4, 2, 1)


def rates(groups: list[dict[str, Any]], model: nn.Module) -> dict[str, tuple[float, float]]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[each]: (group["lr"], group["weight_decay"]) for group in groups for each in group["params"]}


def test_layers_of_a_vit_by_hand() -> None:
    """MMSegmentation's scale: rate^(num_layers - layer_id - 1), num_layers = 3 + 2, the head's id is 4."""
    model = Vit()
    found = rates(layer_decay(model, lr=1.0, weight_decay=0.05, rate=0.5, blocks=r"backbone\.layers\.(\d+)\."), model)
    expected = {
        "backbone.cls_token": (1 / 16, 0.0),
        "backbone.pos_embed": (1 / 16, 0.0),
        "backbone.patch_embed.weight": (1 / 16, 0.05),
        "backbone.patch_embed.bias": (1 / 16, 0.0),
        "decode_head.weight": (1.0, 0.05),
        "decode_head.bias": (1.0, 0.0),
    }
    for number, scale in enumerate((1 / 8, 1 / 4, 1 / 2)):
        expected |= {f"backbone.layers.{number}.ln.{leaf}": (scale, 0.0) for leaf in ("weight", "bias")}
        expected |= {f"backbone.layers.{number}.ffn.weight": (scale, 0.05), f"backbone.layers.{number}.ffn.bias": (scale, 0.0)}
    assert found == expected


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("layer", {"conv1": 1 / 32, "layer1.0": 1 / 16, "layer1.1": 1 / 8, "layer2.0": 1 / 4, "layer2.1": 1 / 2}),
        ("stage", {"conv1": 1 / 8, "layer1.0": 1 / 4, "layer1.1": 1 / 4, "layer2.0": 1 / 2, "layer2.1": 1 / 2}),
    ],
)
def test_layers_of_a_resnet_by_hand(by: Any, expected: dict[str, float]) -> None:
    model = Resnet()
    blocks = r"backbone\.layer(\d+)\.(\d+)\."
    found = rates(layer_decay(model, lr=1.0, weight_decay=0.1, rate=0.5, blocks=blocks, by=by), model)
    assert {place: found[f"backbone.{place}{'' if place == 'conv1' else '.conv1'}.weight"][0] for place in expected} == expected
    assert found["backbone.bn1.weight"] == (expected["conv1"], 0.0)
    assert found["backbone.layer2.1.bn1.bias"] == (expected["layer2.1"], 0.0)
    assert found["decode_head.weight"] == (1.0, 0.1)


def test_blocks_may_be_a_list_of_layers() -> None:
    """ConvNeXt's down-sampling before a stage is of another layer than its name tells."""
    model = nn.ModuleDict(
        {"down": nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)]), "stages": nn.ModuleList([nn.Linear(2, 2)])}
    )
    found = rates(layer_decay(model, lr=1.0, weight_decay=0.1, rate=0.1, blocks=[r"down\.1|stages"], stem=r"down\.0"), model)
    assert {name: lr for name, (lr, _) in found.items() if name.endswith("weight")} == pytest.approx(
        {"down.0.weight": 0.01, "down.1.weight": 0.1, "stages.0.weight": 0.1}
    )


@pytest.mark.parametrize(
    ("own", "option", "says"),
    [
        ({"rate": 0.0}, "rate", "above 0, up to 1, got 0.0"),
        ({"blocks": r"stage(\d+)"}, "blocks", "matched none of the 18 parameters; first names: backbone.cls_token"),
        ({"blocks": "layers"}, "blocks", "finds no number in 'backbone.layers.0.ln.weight'"),
        ({"blocks": "layers("}, "blocks", "is no regular expression"),
        ({"blocks": [r"layers\.0", r"layers\.0\.ln"]}, "blocks", "matched nothing that an earlier one did not"),
        ({"blocks": [r"layers\.0"], "by": "stage"}, "by", "has no stages"),
        ({"stem": "conv9"}, "stem", "'conv9' found nothing before the blocks"),
    ],
)
def test_options_of_layer_decay_that_do_nothing_are_refused(own: dict[str, Any], option: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        layer_decay(Vit(), **{"lr": 1.0, "weight_decay": 0.1, "rate": 0.5, "blocks": r"layers\.(\d+)", **own})
    assert caught.value.problems[0].path == f"optim.constructor.{option}"
    assert says in caught.value.problems[0].message


def test_rules_multiply_what_a_constructor_gave() -> None:
    model = Vit()
    base = layer_decay(model, lr=0.1, weight_decay=0.05, rate=0.5, blocks=r"layers\.(\d+)")
    rules = {"head": Rule(match="decode_head", lr_mult=10.0), "norms": Rule(kind="norm", lr_mult=0.0)}
    groups = parameter_groups(model, rules, lr=0.1, weight_decay=0.05, base=base)
    found = {name: group for group in groups for name in group["param_names"]}
    assert found["decode_head.weight"]["name"] == "layer_4+head"
    assert (found["decode_head.weight"]["lr"], found["decode_head.weight"]["weight_decay"]) == (1.0, 0.05)
    assert found["backbone.layers.2.ffn.weight"]["lr"] == found["backbone.layers.2.ffn.weight"]["initial_lr"] == 0.05
    norms = found["backbone.layers.0.ln.weight"]
    assert norms is found["backbone.layers.2.ln.bias"], "equal settings, one group"
    assert norms["name"] == "layer_1_no_decay+norms or layer_2_no_decay+norms or layer_3_no_decay+norms"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda m: [{"params": [m.weight]}], "1 parameter is in no group: bias"),
        (lambda m: [{"params": [m.weight, m.bias]}, {"params": m.bias}], "1 parameter is in more than one group: bias"),
        (lambda m: [{"params": [*m.parameters(), nn.Parameter(torch.ones(3, 1))]}], "not of the model: one of size (3, 1)"),
        (lambda m: {"params": list(m.parameters())}, "returned dict; expected a list of dicts with 'params'"),
        (lambda m: [[m.weight]], "returned a list of list; expected"),
        (lambda m: [{"params": m.parameters()}], "'params' of group 0 is a generator; expected a list"),
        (lambda m: [{"params": [*m.parameters()], "lr": -1.0}], "'lr' of group 0 is -1.0; expected a number, 0 or more"),
        (lambda m: [{"params": [*m.parameters()], "lr": "0.1"}], "'lr' of group 0 is '0.1'; expected a number, 0 or more"),
        (lambda m: [{"params": [*m.parameters()], "weight_decay": math.nan}], "'weight_decay' of group 0 is nan; expected"),
    ],
)
def test_a_constructor_covers_every_parameter_exactly_once(make: Any, says: str) -> None:
    model = nn.Linear(2, 3)
    with pytest.raises(ConfigError, match=r"optim\.constructor") as caught:
        parameter_groups(model, {}, lr=0.1, weight_decay=0.0, base=make(model))
    assert says in str(caught.value)


def test_groups_of_one_name_and_other_settings_are_told_apart() -> None:
    """Rates are logged and drawn by name: the second would take the place of the first."""
    model = nn.Linear(2, 3)
    base = [{"name": "own", "params": model.weight, "lr": 0.1}, {"name": "own", "params": model.bias, "lr": 0.2}]
    groups = parameter_groups(model, {}, lr=0.1, weight_decay=0.0, base=base)
    assert [(group["name"], group["lr"]) for group in groups] == [("own", 0.1), ("own_2", 0.2)]


def test_numbers_of_numpy_become_those_that_a_checkpoint_gives_back() -> None:
    model = nn.Linear(2, 3)
    base = [{"params": list(model.parameters()), "lr": np.float64(0.1), "momentum": np.float32(0.5)}]
    (group,) = parameter_groups(model, {}, lr=0.1, weight_decay=0.0, base=base)
    assert [type(group[key]) for key in ("lr", "initial_lr", "momentum")] == [float, float, float]


def test_frozen_parameters_of_a_constructor_are_left_out() -> None:
    model = Vit()
    model.backbone.requires_grad_(requires_grad=False)
    base = layer_decay(model, lr=0.1, weight_decay=0.05, rate=0.5, blocks=r"layers\.(\d+)")
    groups = parameter_groups(model, {}, lr=0.1, weight_decay=0.05, base=base)
    assert [(group["name"], group["lr"], group["param_names"]) for group in groups] == [
        ("layer_4", 0.1, ["decode_head.weight"]),
        ("layer_4_no_decay", 0.1, ["decode_head.bias"]),
    ]
