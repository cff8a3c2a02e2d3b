"""Files in and out, and where every value came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayseg.config import ExperimentConfig, flatten, from_yaml, read_config_file, write_yaml
from rayseg.errors import ConfigError
from rayseg.load import load_config, load_with_origins

SAME = {
    "a.yaml": "optim: {lr: 2e-2}\ntrain:\n  epochs: 2\n",
    "a.yml": "optim: {lr: 0.02}\ntrain: {epochs: 2}",
    "a.json": '{"optim": {"lr": 0.02}, "train": {"epochs": 2}}',
    "a.toml": "[optim]\nlr = 2e-2\n[train]\nepochs = 2\n",
    "a.py": "def config():\n    return {'optim': {'lr': 0.02}, 'train': {'epochs': 2}}\n",
    "b.py": (
        "from rayseg.config import ExperimentConfig\n"
        "def config():\n    return ExperimentConfig().with_({'optim.lr': 0.02, 'train': {'epochs': 2}})\n"
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_every_kind_of_file_describes_the_same_experiment(name: str, tmp_path: Path) -> None:
    path = _write(tmp_path, name, SAME[name])
    assert load_config(path) == ExperimentConfig().with_({"optim.lr": 0.02, "train": {"epochs": 2}})


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


BROKEN = [
    ("a.yaml", "optim:\n  lr: 1\n  lr: 2\n", "a.yaml: line 3: key 'lr' is written twice"),
    ("a.yaml", "optim:\n  lr: [1\n", "a.yaml: line 3: "),
    ("a.yaml", "", "holds nothing at its top level, not a mapping"),
    ("a.yaml", "- 1\n", "holds list at its top level"),
    ("a.yaml", "x: !!python/object/apply:os.system [ls]\n", "line 1: could not determine a constructor"),
    ("a.yaml", "1: 2\n", "key 1 must be text"),
    ("a.json", '{"a": 1, "a": 2}', "key 'a' is written twice"),
    ("a.json", '{"a": 1,\n ]', "is no JSON: .*line 2"),
    ("a.toml", "a = \n", "is no TOML: .*line 1"),
    ("a.toml", "when = 2024-01-01\n", "when: must be text, a number, .* got date"),
    ("a.ini", "", r"ends in '.ini'; a config file ends in .yaml, .yml, .json, .toml, .py"),
    ("a.py", "x = 1\n", r"there is no function config\(\); a Python config file has"),
    ("a.py", "def config():\n    return 3\n", r"config\(\) returned int"),
    ("a.py", "import nowhere_at_all\n", "raised ModuleNotFoundError: .*nowhere_at_all"),
    (
        "a.py",
        "from rayseg.config import TrainConfig\ndef config():\n    return {'train': TrainConfig(stepz=3)}\n",
        "stepz: the config has no key 'stepz'; it takes batch_size, .*Did you mean 'steps'",
    ),
]


@pytest.mark.parametrize(("name", "text", "message"), BROKEN)
def test_a_broken_file_is_refused_with_its_name_and_line(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = _write(tmp_path, name, text)
    with pytest.raises(ConfigError, match=message):
        read_config_file(path)


def test_a_missing_file_is_named_with_the_working_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: no such file; the working directory is /"):
        read_config_file(tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("007", 7),
        ("0x1f", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("my_pkg.losses:topo", "my_pkg.losses:topo"),
        ("'1e-3'", "1e-3"),
    ],
)
def test_yaml_scalars_are_read_by_the_core_schema(text: str, value: Any) -> None:
    assert from_yaml(text) == value
    assert type(from_yaml(text)) is type(value)


def test_yaml_merges_and_anchors_work() -> None:
    assert from_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}")["b"] == {"x": 1, "y": 3}


def test_a_written_config_is_read_back_equal(tmp_path: Path) -> None:
    config = ExperimentConfig().with_({"losses.dice": {"type": "dice", "smooth": 1e-5}, "tracking.name": "1e-3"})
    assert load_config(write_yaml(config, tmp_path / "new" / "best.yaml")) == config


def test_overrides_come_after_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.yaml", SAME["a.yaml"])
    assert load_config(path, {"optim.lr": 0.5}).optim.lr == 0.5


def test_faults_of_a_file_name_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.yaml", "lr: 3")
    with pytest.raises(ConfigError, match=r"1 problem in .*a\.yaml\n  lr: .*Did you mean 'optim\.lr'"):
        load_config(path)


def test_every_leaf_has_an_origin(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.yaml", "optim: {lr: 0.1, weight_decay: 0.3}\ntrain: {log_every: 5}\nlosses: {d: {type: dice}}")
    config, origins = load_with_origins(
        path, {"optim.lr": 0.2, "losses.e": {"type": "lovasz"}, "schedule": {"type": "cosine"}}, {}
    )
    assert set(origins) == set(flatten(config))
    assert {leaf: origin for leaf, origin in origins.items() if origin != "default"} == {
        "optim.lr": "override",
        "optim.weight_decay": "file a.yaml",
        "train.log_every.steps": "file a.yaml",
        "train.log_every.epochs": "file a.yaml",
        "losses.d.type": "file a.yaml",
        "losses.e.type": "override",
        "schedule.type": "override",
    }


def test_what_an_override_puts_back_to_its_default_is_not_the_file_s_any_more(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.yaml", "optim: {type: sgd, weight_decay: 0.3}")
    config, origins = load_with_origins(path, {"optim": {"type": "adamw"}}, {})
    assert config.optim.weight_decay == 0.01
    assert origins["optim.weight_decay"] == "default"


def test_the_environment_fills_in_the_store_that_nothing_else_names(tmp_path: Path) -> None:
    environ = {"MLFLOW_TRACKING_URI": "http://localhost:5000", "MLFLOW_EXPERIMENT_NAME": "roads"}
    config, origins = load_with_origins(None, None, environ)
    assert config.tracking.mlflow is not None
    assert (config.tracking.mlflow.uri, config.tracking.mlflow.experiment) == ("http://localhost:5000", "roads")
    assert origins["tracking.mlflow.uri"] == "environment MLFLOW_TRACKING_URI"
    assert origins["tracking.mlflow.experiment"] == "environment MLFLOW_EXPERIMENT_NAME"

    path = _write(tmp_path, "a.yaml", "tracking: {mlflow: {uri: 'sqlite:///x.db', experiment: rayseg}}")
    config, origins = load_with_origins(path, None, environ)
    assert config.tracking.mlflow is not None
    assert (config.tracking.mlflow.uri, config.tracking.mlflow.experiment) == ("sqlite:///x.db", "rayseg")
    assert origins["tracking.mlflow.experiment"] == "file a.yaml"

    config, _ = load_with_origins(None, {"tracking.mlflow": None}, environ)
    assert config.tracking.mlflow is None
