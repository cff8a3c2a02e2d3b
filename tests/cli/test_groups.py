"""``rayseg show --groups``: the groups that the run will have, from the config alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rayseg.cli import main
from rayseg.config import ExperimentConfig, write_yaml

RECIPE = {
    "model": {"type": "torchvision_fcn_resnet50", "pretrained_backbone": "no-such-file.pth"},
    "data": {"dataset": {"type": "folders", "root": "no/such/place", "layout": "camvid"}},
    "optim": {
        "type": "sgd",
        "lr": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.0005,
        "groups": {
            "head": {"match": "decode_head", "lr_mult": 10},
            "norms": {"kind": "norm", "decay_mult": 0, "settings": {"momentum": 0.8}},
            "biases": {"kind": "bias", "decay_mult": 0},
        },
    },
    "freeze": {"stem": {"match": r"^backbone\.(conv1|bn1)\.", "until": {"epochs": 2}}},
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_yaml(ExperimentConfig.from_dict(RECIPE), tmp_path / "recipe.yaml")


def test_groups_are_shown_without_the_data_and_without_weights_in_80_columns(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(recipe), "--groups"]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    table, names = told.split("\n\n", 1)
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["lr", "decay", "tensors", "parameters", "settings", "group"]
    assert [row[:2] + row[4:] for row in rows[1:]] == [
        ["0.01", "0.0005", "default"],
        ["0.01", "0", "momentum", "0.8", "norms"],
        ["0.1", "0.0005", "head"],
        ["0.1", "0", "momentum", "0.8", "head+norms"],
        ["0.1", "0", "head+biases"],
    ]
    assert sum(int(row[2]) for row in rows[1:]) == len(re.findall(r"[\w.]+\.(?:weight|bias)\b", names.split("\n\nfrozen")[0]))
    assert (
        "\n\nfrozen until epoch 2, by freeze.stem\n    backbone.conv1.weight, backbone.bn1.weight, backbone.bn1.bias\n" in told
    )
    assert "The data are not here: heads for 2 classes." in told


def test_layers_and_what_the_rules_do_to_them_are_shown(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    constructor = r"optim.constructor={type: layer_decay, rate: 0.5, blocks: 'backbone.stages.(\d+)'}"
    words = ["model.depth=2", constructor, "optim.groups.head={match: classifier, lr_mult: 10, decay_mult: 1}"]
    assert main(["show", str(file), "--groups", *words]) == 0
    table, names = capsys.readouterr().out.split("\n\n")
    rows = [line.split() for line in table.splitlines()]
    assert [(row[0], row[1], row[-1]) for row in rows[1:]] == [
        ("0.00025", "0.01", "layer_0"),
        ("0.00025", "0", "layer_0_no_decay"),
        ("0.0005", "0.01", "layer_1"),
        ("0.0005", "0", "layer_1_no_decay"),
        ("0.001", "0.01", "layer_2"),
        ("0.001", "0", "layer_2_no_decay"),
        ("0.01", "0.01", "layer_2+head"),
        ("0.01", "0", "layer_2_no_decay+head"),
    ]
    assert "\nlayer_2_no_decay+head: head\n    decode_head.classifier.bias\n" in names


def test_a_rule_that_selects_nothing_is_told_instead(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(file), "--groups", "optim.groups.head={match: clasifier, lr_mult: 10}"]) == 2
    assert "optim.groups.head: pattern 'clasifier' matched none" in capsys.readouterr().err
