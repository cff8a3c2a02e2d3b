"""One line per fault: where, what was got, what was expected, what to do."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError

TERM = {"type": "cross_entropy"}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"lr": 0.1}, "lr", "has no key 'lr'; it takes seed, data, model, .*Did you mean 'optim.lr'"),
    ({"batch_size": 4}, "batch_size", "Did you mean 'train.batch_size' or 'eval.batch_size'"),
    ({"optm": {}}, "optm", "Did you mean 'optim'"),
    ({"train": {"stepz": 3}}, "train.stepz", "'train' has no key 'stepz'; it takes batch_size, .*Did you mean 'steps'"),
    ({"heads": {"aux": {"wieght": 1}}}, "heads.aux.wieght", "it takes weight, losses, .*Did you mean 'weight'"),
    ({"train": {"ema": {"decai": 0.9}}}, "train.ema.decai", "it takes decay, warmup, .*Did you mean 'decay'"),
    ({"train": 3}, "train", "must be a mapping with the keys batch_size, .*; got 3"),
    ({"tracking": {"storage": "s3://bucket/runs"}}, "tracking.storage", "expected a directory; mount the bucket on every node"),
    (
        {"tracking": {"mlflow": {"uri": "https://ray:secret@tracker"}}},
        "tracking.mlflow.uri",
        "a password stands in it, .*MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD(?!.*secret)",
    ),
    ({"losses": ["ce"]}, "losses", r"must be a mapping from names, got \[ce\]"),
    ({"losses": {"dice": {"weight": 1}}}, "losses.dice.type", "is missing; give 'type': built-in name or import path"),
    ({"losses": {"dice": None}}, "losses.dice", "must be a mapping with the keys type, .*; got null"),
    ({"losses": {"a.b": TERM}}, "losses", "'a.b' cannot be a name: .*no dots"),
    ({"losses": {"ce": {**TERM, "weight": "3"}}}, "losses.ce.weight", "must be a number, got '3'"),
    (
        {"losses": {"ce": {**TERM, "normalize": "weight"}}},
        "losses.ce.normalize",
        "'all' or 'all_weights', got 'weight'. Did you mean 'weights'",
    ),
    ({"losses": {"ce": {**TERM, "class_weight": [1, -2]}}}, "losses.ce.class_weight.1", "must be at least 0, got -2"),
    ({"losses": {"ce": {**TERM, "class_weight": {"Pole": "x"}}}}, "losses.ce.class_weight.Pole", "must be a number, got 'x'"),
    (
        {"losses": {"ce": {**TERM, "class_weight": "median"}}},
        "losses.ce.class_weight",
        "list of numbers, .* a rule {type: .*, or a file such as weights.json, got 'median'",
    ),
    ({"losses": {"ce": {**TERM, "class_weight": {"type": 3}}}}, "losses.ce.class_weight.type", "must be text"),
    ({"scaling": {"workers": [3, 1]}}, "scaling.workers", r"whole number from 0, or \[min, max\].*; got \[3, 1\]"),
    ({"scaling": {"workers": True}}, "scaling.workers", "got True"),
    ({"scaling": {"workers": -1}}, "scaling.workers", "got -1"),
    ({"scaling": {"workers": [1, 2, 3]}}, "scaling.workers", r"got \[1, 2, 3\]"),
    ({"scaling": {"gpu": 1}}, "scaling.gpu", "must be true, false, auto, or a share of one GPU from 0.01 to below 1; got 1"),
    ({"scaling": {"gpu": 1.5}}, "scaling.gpu", "a share of one GPU from 0.01 to below 1; got 1.5"),
    ({"optim": {"lr": True}}, "optim.lr", "must be a number, got true"),
    ({"optim": {"lr": -1}}, "optim.lr", "must be more than 0, got -1"),
    ({"optim": {"weight_decay": None}}, "optim.weight_decay", "must be a number, got null"),
    ({"optim": {"lr": math.inf}}, "optim.lr", "must be a finite number, got inf"),
    ({"optim": {"groups": {"a": {"lr_mult": 3}}}}, "optim.groups.a", "selects nothing: give 'match', 'kind', or both"),
    ({"optim": {"groups": {"a": {"match": "x"}}}}, "optim.groups.a", "changes nothing: give 'lr_mult'"),
    ({"train": {"batch_size": 8.0}}, "train.batch_size", "must be a whole number, got 8.0"),
    ({"train": {"steps": 3, "epochs": 2}}, "train", "exactly one of 'steps' and 'epochs'.*null; got steps=3, epochs=2"),
    ({"train": {"steps": None}}, "train", "exactly one of 'steps' and 'epochs'.*got steps=null, epochs=null"),
    ({"train": {"speed": "fast"}}, "train.speed", "must be auto, or a mapping with the keys memory_format, .*; got 'fast'"),
    ({"train": {"speed": {"compile": "yes"}}}, "train.speed.compile", "must be true, false or auto; got 'yes'"),
    ({"train": {"log_every": 0}}, "train.log_every.steps", "must be at least 1, got 0"),
    ({"eval": {"every": "5 epochs"}}, "eval.every", "whole number of steps, {steps: n} or {epochs: x}; got '5 epochs'"),
    ({"schedule": {"warmup": {}}}, "schedule.warmup.length", "is missing"),
    ({"schedule": {"warmup": {"length": {}}}}, "schedule.warmup.length", "exactly one of"),
    ({"data": {"mean": [1, 2]}}, "data.mean.2", "is missing; the list is too short"),
    ({"data": {"mean": [1, 2, 3, 4]}}, "data.mean", "must be a list of 3 items, got 4"),
    ({"data": {"mean": ["1", 2, 3]}}, "data.mean.0", "must be a number, got '1'"),
    ({"data": {"palette": [[0, 0, 256]]}}, "data.palette.0.2", "255"),
    ({"data": {"class_names": "Sky"}}, "data.class_names", "must be a list, got 'Sky'"),
    ({"data": {"ignore_index": 300}}, "data.ignore_index", "must be at most 255, got 300"),
    ({"tracking": {"name": 2024}}, "tracking.name", "must be text.*got 2024"),
    ({"tracking": {"name": "../other"}}, "tracking.name", "got '../other', expected the name of a directory in"),
    ({"tracking": {"name": ".."}}, "tracking.name", r"got '\.\.', expected the name of a directory"),
    ({"tracking": {"name": " "}}, "tracking.name", "got ' ', expected the name of a directory"),
    ({"tracking": {"text": "no"}}, "tracking.text", "must be true or false, got 'no'"),
    ({"model": {"type": ""}}, "model.type", "at least 1 character"),
    ({"model": {"type": "x", "act": len}}, "model.act", "'len' is code, not data; name it by its import path"),
    ({"model": {"type": "x", "k": {"a": {1, 2}}}}, "model.k.a", "must be text, a number, .* got set"),
    ({"model": {"type": "x", "k": [1, math.nan]}}, "model.k.1", "must be a finite number, got nan"),
    ({"hooks": {"h": {"type": "x", "k": 1, "args": {"k": 2}}}}, "hooks.h", "k: given twice"),
    ({"seed": {3: 4}}, "seed", "key 3 must be text"),
]


@pytest.mark.parametrize(("tree", "path", "message"), WRONG, ids=[f"{path}-{i}" for i, (_, path, _) in enumerate(WRONG)])
def test_a_wrong_config_gets_one_line_that_says_what_to_do(tree: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ExperimentConfig.from_dict(tree)
    assert [problem.path for problem in caught.value.problems] == [path]
    assert len(str(caught.value).splitlines()) == 2


def test_every_fault_is_reported_at_once_and_none_twice() -> None:
    single = [(tree, path) for tree, path, _ in WRONG if len(tree) == 1]
    merged: dict[str, Any] = {}
    expected = []
    for tree, path in single:
        (key,) = tree
        if key not in merged:
            merged[key] = tree[key]
            expected.append(path)
    with pytest.raises(ConfigError) as caught:
        ExperimentConfig.from_dict(merged)
    assert sorted(problem.path for problem in caught.value.problems) == sorted(expected)


def test_wrong_overrides_and_wrong_values_are_reported_together() -> None:
    with pytest.raises(ConfigError, match="3 problems") as caught:
        ExperimentConfig().with_({"train.stepz": 1, "optim.lr": -1, "losses.ce.weight": "x"})
    assert {problem.path for problem in caught.value.problems} == {"train.stepz", "optim.lr", "losses.ce.weight"}


def test_the_error_says_what_was_wrong() -> None:
    with pytest.raises(ConfigError, match=r"1 problem in camvid\.yaml"):
        ExperimentConfig.from_dict({"lr": 1}, where="camvid.yaml")


def test_the_error_travels_between_processes() -> None:
    with pytest.raises(ConfigError) as caught:
        ExperimentConfig.from_dict({"lr": 1})
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.problems == caught.value.problems
    assert str(copy) == str(caught.value)
