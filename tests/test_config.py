"""The grammar: what goes in comes out, and what does not fit is refused in one line."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import example, given

import rayseg.config
from rayseg.config import (
    ExperimentConfig,
    Length,
    LossTerm,
    Spec,
    TrainConfig,
    flatten,
    from_yaml,
    json_schema,
    plain,
    render,
    to_line,
    to_yaml,
)
from rayseg.errors import ConfigError
from tests.config_strategies import experiments, leaves

ROOT = Path(__file__).resolve().parent.parent
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


@given(experiments())
def test_an_experiment_survives_dict_json_and_yaml(tree: dict[str, Any]) -> None:
    config = ExperimentConfig.from_dict(tree)
    written = config.to_dict()
    assert ExperimentConfig.from_dict(written) == config
    assert ExperimentConfig.from_dict(json.loads(json.dumps(written))) == config
    assert ExperimentConfig.from_dict(from_yaml(to_yaml(written))) == config


@given(experiments())
def test_what_was_written_is_what_is_shown(tree: dict[str, Any]) -> None:
    shown = ExperimentConfig.from_dict(tree).to_dict()
    assert _contains(shown, plain(tree)[0])


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all((key == "args" and not value) or _contains(whole.get(key), value) for key, value in part.items())
    return bool(whole == part)


@given(experiments())
def test_the_json_schema_accepts_every_experiment(tree: dict[str, Any]) -> None:
    VALIDATOR.validate(plain(tree)[0])
    VALIDATOR.validate(ExperimentConfig.from_dict(tree).to_dict())


@given(leaves)
@example("\n")
@example("a\n b\u2028")
def test_a_line_of_yaml_is_one_line_and_reads_back(value: Any) -> None:
    line = to_line(value)
    assert "\n" not in line
    assert from_yaml(line) == value
    assert type(from_yaml(line)) is type(value)


def test_the_json_schema_refuses_what_from_dict_refuses() -> None:
    mistakes: list[dict[str, Any]] = [{"train": {"stepz": 3}}, {"optim": {"lr": "fast"}}, {"losses": {"dice": {}}}, {"lr": 0.1}]
    for wrong in mistakes:
        assert not VALIDATOR.is_valid(wrong)
        with pytest.raises(ConfigError):
            ExperimentConfig.from_dict(wrong)


def test_shipped_configs_are_valid_and_round_trip() -> None:
    for path in sorted((ROOT / "experiments").glob("configs/*.yaml")):
        tree = from_yaml(path.read_text(encoding="utf-8"))
        VALIDATOR.validate(tree)
        config = ExperimentConfig.from_dict(tree, where=path.name)
        assert ExperimentConfig.from_dict(config.to_dict()) == config


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ExperimentConfig().seed = 3


def test_a_spec_hands_its_own_arguments_over_and_keeps_the_mix_s() -> None:
    term = LossTerm.model_validate({"type": "my:loss", "weight": 3, "strength": 2.0, "args": {"weight": "heavy"}})
    assert term.weight == 3
    assert term.kwargs == {"strength": 2.0, "weight": "heavy"}


def test_numbers_from_numpy_become_plain_ones_in_a_spec_built_by_hand() -> None:
    spec = Spec.model_validate({"type": "x", "size": (np.int64(2), 3), "scale": np.float64(0.5), "table": np.eye(2)})
    assert spec.kwargs == {"size": [2, 3], "scale": 0.5, "table": [[1.0, 0.0], [0.0, 1.0]]}
    assert type(spec.kwargs["scale"]) is float


def test_a_bare_whole_number_is_a_number_of_steps() -> None:
    assert ExperimentConfig.from_dict({"eval": {"every": 50}}).eval.every == Length(steps=50)


def test_a_run_is_300_steps_long_unless_something_else_is_said() -> None:
    assert TrainConfig(batch_size=4).length == Length(steps=300)
    assert TrainConfig(epochs=2).length == Length(epochs=2)


def test_the_three_forms_of_class_weights_are_told_apart() -> None:
    def read(value: Any) -> Any:
        return ExperimentConfig().with_({"losses.ce.class_weight": value}).losses["ce"].class_weight

    assert read([1, 2]) == (1.0, 2.0)
    assert read({"Pole": 3, "Sky": 0.5}) == {"Pole": 3.0, "Sky": 0.5}
    rule = read({"type": "median_frequency", "power": 0.5})
    assert isinstance(rule, Spec)
    assert rule.kwargs == {"power": 0.5}


def test_flat_leaves_rebuild_the_config() -> None:
    config = ExperimentConfig().with_({"losses.dice": {"type": "dice", "smooth": 1.0}, "optim.lr": 0.3})
    start = ExperimentConfig().with_({"losses.dice": {"type": "dice"}})
    assert start.with_(flatten(config)) == config


def test_the_table_shows_every_leaf_aligned_with_its_origin() -> None:
    config = ExperimentConfig()
    origins = dict.fromkeys(flatten(config), "default") | {"optim.lr": "override"}
    lines = [line for line in render(config, origins).splitlines() if line]
    assert len(lines) == len(flatten(config))
    assert {line.split()[0] for line in lines} == set(flatten(config))
    assert len({line.rindex("  ") for line in lines}) == 1
    assert next(line for line in lines if line.startswith("optim.lr ")).split() == ["optim.lr", "0.001", "override"]


def test_every_section_is_described() -> None:
    missing = [name for name in rayseg.config.__all__ if not inspect.getdoc(getattr(rayseg.config, name))]
    assert missing == []


def test_a_bare_name_is_the_type_of_a_target() -> None:
    trees = [{"losses": {"ce": {"type": "cross_entropy", "target": target}}} for target in ("one_hot", {"type": "one_hot"})]
    short, long = (ExperimentConfig.from_dict(tree) for tree in trees)
    assert short == long
    assert short.to_dict() == long.to_dict()
