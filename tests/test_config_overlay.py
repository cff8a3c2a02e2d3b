"""Dotted keys: an override replaces exactly the node that it names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rayseg.config import ExperimentConfig, flatten, overlay, parse_assignments
from rayseg.errors import ConfigError
from tests.config_strategies import experiments

BASE = ExperimentConfig()
DICE = {"type": "dice", "weight": 3}


@given(experiments(), st.data())
def test_overriding_a_leaf_with_its_own_value_changes_nothing(tree: dict[str, Any], data: st.DataObject) -> None:
    config = ExperimentConfig.from_dict(tree)
    leaves = {path: value for path, value in flatten(config).items() if _addressable(path, config)}
    path = data.draw(st.sampled_from(sorted(leaves)))
    assert config.with_({path: leaves[path]}) == config


def _addressable(path: str, config: ExperimentConfig) -> bool:
    """A key of free data may itself hold dots; then the data are replaced whole."""
    node: Any = config.to_dict()
    for key in path.split("."):
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


@given(st.dictionaries(st.sampled_from(["optim.lr", "losses.ce.weight", "train.ema"]), st.just(None), min_size=1), st.randoms())
def test_the_order_of_overrides_of_different_depth_does_not_matter(keys: dict[str, None], random: Any) -> None:
    values = {
        "optim.lr": 0.5,
        "losses.ce.weight": 2,
        "train.ema": {"decay": 0.9},
        "losses": {"ce": {"type": "cross_entropy"}},
        "optim": {"type": "sgd"},
    }
    wanted = [*keys, "losses", "optim"]
    shuffled = random.sample(wanted, len(wanted))
    assert BASE.with_({key: values[key] for key in shuffled}) == BASE.with_({key: values[key] for key in wanted})


def test_a_node_is_replaced_whole_and_its_neighbours_stay() -> None:
    changed = BASE.with_({"optim.groups": {"head": {"match": "head", "lr_mult": 10}}}).with_(
        {"optim": {"type": "sgd", "lr": 0.1}}
    )
    assert changed.optim.groups == {}
    assert changed.optim.lr == 0.1
    assert changed.train == BASE.train


def test_a_whole_spec_adds_a_term_and_null_removes_one() -> None:
    changed = BASE.with_({"losses.dice": DICE, "losses.ce": None})
    assert list(changed.losses) == ["dice"]
    assert changed.losses["dice"].weight == 3


def test_terms_are_added_in_the_order_they_are_written() -> None:
    changed = BASE.with_({"data.transforms.flip": {"type": "random_flip"}, "data.transforms.crop": {"type": "random_crop"}})
    assert list(changed.data.transforms) == ["flip", "crop"]


def test_a_part_comes_after_the_whole_however_they_are_written() -> None:
    changed = BASE.with_({"losses.dice.smooth": 1.0, "losses.dice": DICE})
    assert changed.losses["dice"].kwargs == {"smooth": 1.0}
    assert BASE.with_({"sampling.thresh": 0.7, "sampling": {"type": "ohem"}}).sampling is not None


def test_null_unsets_what_may_be_unset() -> None:
    assert BASE.with_({"tracking.mlflow": None}).tracking.mlflow is None
    assert BASE.with_({"model.encoder": None}).model.kwargs == {"encoder": None}


def test_deep_places_are_reached_through_optional_sections_heads_and_rules() -> None:
    config = BASE.with_(
        {
            "heads.aux": {"losses": {"ce": {"type": "cross_entropy"}}},
            "heads.aux.losses.ce.weight": 0.5,
            "losses.ce.class_weight": {"type": "median_frequency"},
            "losses.ce.class_weight.power": 0.5,
            "losses.ce.args.weight": 7,
            "schedule.warmup": {"length": {"steps": 10}},
            "schedule.warmup.length.steps": 20,
            "model.encoder": {"depth": 3},
            "model.encoder.depth": 4,
            "tracking.tags.team": "road",
        }
    )
    aux = config.heads["aux"].losses
    assert aux is not None
    assert aux["ce"].weight == 0.5
    assert (
        config.losses["ce"].to_dict()
        if hasattr(config.losses["ce"], "to_dict")
        else config.losses["ce"].kwargs == {"weight": 7}
    )
    assert config.model.kwargs == {"encoder": {"depth": 4}}
    assert flatten(config)["schedule.warmup.length.steps"] == 20
    assert flatten(config)["losses.ce.class_weight.power"] == 0.5
    assert config.tracking.tags == {"team": "road"}


@pytest.mark.parametrize(
    ("overrides", "path", "message"),
    [
        ({"losses.dic.weight": 3}, "losses.dic", r"is not there; 'losses' has ce, dice.*losses.dic=\{.*Did you mean 'dice'"),
        (
            {"losses.dic": None},
            "losses.dic",
            "is not there, so it cannot be removed; 'losses' has ce, dice.*Did you mean 'dice'",
        ),
        ({"heads.aux.weight": 1}, "heads.aux", "is not there; 'heads' is empty"),
        ({"losses.ce.weight.x": 3}, "losses.ce.weight", "is 1.0, which has no keys; replace it whole"),
        ({"data.mean.0": 3}, "data.mean", "has no keys; replace it whole: data.mean="),
        ({"sampling.thresh": 0.7}, "sampling", r"is null, so there is nothing in it to change; set it whole: sampling=\{"),
        ({"model.encoder.depth": 3}, "model.encoder", "is not there; 'model' has type, norm"),
        ({"train.stepz": 3}, "train.stepz", "it takes batch_size, .*Did you mean 'steps'"),
        ({"trian.steps": 3}, "trian", "Did you mean 'train'"),
        ({"steps": 3}, "steps", "Did you mean 'train.steps'"),
        ({"": 3}, "", "has no key ''"),
        ({"optim.lr": print}, "optim.lr", "is code, not data"),
    ],
)
def test_an_override_that_cannot_apply_is_refused(overrides: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        BASE.with_({"losses.dice": DICE}).with_(overrides)
    assert [problem.path for problem in caught.value.problems] == [path]


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (np.float64(0.25), 0.25),
        (np.float32(0.25), 0.25),
        (torch.tensor(0.25), 0.25),
    ],
)
def test_numbers_of_searchers_become_plain_ones(given_value: Any, expected: float) -> None:
    lr = BASE.with_({"optim.lr": given_value}).to_dict()["optim"]["lr"]
    assert lr == expected
    assert type(lr) is float


def test_arrays_and_tuples_become_lists() -> None:
    changed = BASE.with_(
        {"scaling.workers": (1, 2), "model.size": np.array([3, 4]), "data.ignore_index": np.int64(11)}
    ).to_dict()
    assert changed["scaling"]["workers"] == [1, 2]
    assert changed["model"]["size"] == [3, 4]
    assert type(changed["model"]["size"][0]) is int
    assert changed["data"]["ignore_index"] == 11


def test_the_tree_that_is_laid_over_stays_as_it_was() -> None:
    tree = BASE.to_dict()
    before = BASE.to_dict()
    overlay(tree, {"losses.ce.weight": 9, "optim.groups.a": {"match": "x"}}, ExperimentConfig)
    assert tree == before


def test_a_partial_tree_is_filled_where_an_override_goes_deeper() -> None:
    assert overlay({}, {"losses.ce.weight": 9}, ExperimentConfig)["losses"]["ce"]["weight"] == 9


def test_overlay_names_every_override_that_cannot_apply() -> None:
    with pytest.raises(ConfigError, match="2 problems in overrides"):
        overlay({}, {"a": 1, "b": 2}, ExperimentConfig)


def test_the_command_line_speaks_yaml() -> None:
    words = [
        "optim.lr=1e-3",
        "losses.dice={type: dice, weight: 3}",
        "losses.ce=null",
        "tracking.name=a=b",
        "data.test_split=''",
    ]
    assert parse_assignments(words) == {
        "optim.lr": 1e-3,
        "losses.dice": {"type": "dice", "weight": 3},
        "losses.ce": None,
        "tracking.name": "a=b",
        "data.test_split": "",
    }


def test_every_word_that_is_no_assignment_is_named() -> None:
    with pytest.raises(ConfigError, match="5 problems in command line") as caught:
        parse_assignments(["optim.lr", "=3", "a=", "b=1", "b=2", "c={"])
    text = str(caught.value)
    for part in (
        "optim.lr: is no assignment",
        "  =3: is no",
        "a: has no value; write null",
        "b: is assigned twice",
        "c: '{' is no YAML",
    ):
        assert part in text
