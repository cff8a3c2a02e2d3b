"""Class weights of a config: the file lies beside the config, the numbers go everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rayseg.build import assemble, check, read_weight_files, with_weight_files
from rayseg.config import ExperimentConfig, read_config_file
from rayseg.engine import LocalReporter
from rayseg.errors import ConfigError
from rayseg.launch import sweep, train
from rayseg.load import load_config, load_with_origins
from rayseg.space import choice
from tests.build.small import BASE, built

NUMBERS = [0.5, 1, 1, 1, 1, 2, 3, 2, 3]
SMALL = BASE.to_dict()


def config_file(folder: Path, class_weight: object, **heads: Any) -> Path:
    """A config in a folder, with a list of nine weights and a mapping beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "weights.json").write_text(json.dumps(NUMBERS))
    (folder / "names.yaml").write_text("car: 3.5\nsign: 2\n")
    losses = {"ce": {"type": "cross_entropy", "class_weight": class_weight}}
    (folder / "c.json").write_text(json.dumps({**SMALL, "losses": losses, "heads": heads}))
    return folder / "c.json"


def test_a_file_is_found_beside_the_config_and_becomes_numbers(tmp_path: Path) -> None:
    auxiliary = {"losses": {"ce": {"type": "cross_entropy", "class_weight": "names.yaml"}}}
    config = load_config(config_file(tmp_path / "configs", "weights.json", auxiliary=auxiliary))
    assert config.losses["ce"].class_weight == tuple(NUMBERS)
    losses = config.heads["auxiliary"].losses
    assert losses is not None
    assert losses["ce"].class_weight == {"car": 3.5, "sign": 2.0}


def test_where_the_numbers_come_from_is_told(tmp_path: Path) -> None:
    path = config_file(tmp_path, "names.yaml")
    _, origins = load_with_origins(path, {}, {})
    assert origins["losses.ce.class_weight.car"] == "file c.json"
    _, origins = load_with_origins(path, {"losses.ce.class_weight": str(tmp_path / "weights.json")}, {})
    assert origins["losses.ce.class_weight"] == "override"


def test_a_file_given_on_the_command_line_is_looked_for_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config_file(tmp_path, None)
    monkeypatch.chdir(tmp_path)
    config = load_config(tmp_path / "c.json", {"losses.ce.class_weight": "names.yaml"})
    assert config.losses["ce"].class_weight == {"car": 3.5, "sign": 2.0}


def test_what_is_written_with_the_run_has_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = config_file(tmp_path / "configs", "weights.json")
    raw = ExperimentConfig.from_dict(read_config_file(path))
    assert raw.losses["ce"].class_weight == str(tmp_path / "configs" / "weights.json")
    experiment = assemble(raw, LocalReporter(tmp_path / "run"))
    weight = experiment.fit.mix.heads["main"].terms["ce"].class_weight
    assert weight is not None
    assert torch.equal(weight, torch.tensor(NUMBERS))
    assert "weights.json" not in experiment.fit.texts["config.yaml"]
    result = train(raw.with_({"tracking.storage": str(tmp_path / "runs"), "tracking.mlflow": None, "tracking.text": False}))
    assert result.checkpoint is not None
    kept = ExperimentConfig.from_dict(read_config_file(result.checkpoint / "config.yaml"))
    assert kept.losses["ce"].class_weight == tuple(NUMBERS)


@pytest.mark.parametrize(
    ("content", "path", "says"),
    [
        (None, "losses.ce.class_weight", "no such file"),
        ([1, 2], "losses.ce.class_weight", "2 weights for 9 classes"),
        ({"cat": 1}, "losses.ce.class_weight.cat", "no such class"),
        ([-1] * 9, "losses.ce.class_weight", "weight number 0 is -1"),
        ([0] * 9, "losses.ce.class_weight", "every weight is 0"),
    ],
)
def test_a_wrong_file_is_told_with_every_other_fault(tmp_path: Path, content: Any, path: str, says: str) -> None:
    file = tmp_path / "w.json"
    if content is not None:
        file.write_text(json.dumps(content))
    config = load_config(config_file(tmp_path, "w.json"), {"losses.ce.label_smoothing": 0.1, "optim.momentun": 0.9})
    found = {problem.path: problem.message for problem in check(config)}
    assert set(found) == {path, "optim.momentun"}
    assert says in found[path]


@pytest.mark.parametrize("weights", [[1.0, float("nan")], [-1.0] * 9, {"car": -1.0}, [float("inf")] * 9, ""])
def test_weights_that_are_no_weights_are_refused(weights: object) -> None:
    with pytest.raises(ConfigError, match=r"losses\.ce\.class_weight"):
        BASE.with_({"losses.ce.class_weight": weights})


def test_numbers_are_read_from_a_searched_file_too(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array(NUMBERS))
    key, file = "losses.ce.class_weight", str(tmp_path / "w.npy")
    whole = {"type": "cross_entropy", "class_weight": file}
    assert read_weight_files({key: file, "losses.ce": whole, "model.class_weight": file}) == {
        key: NUMBERS,
        "losses.ce": {**whole, "class_weight": NUMBERS},
        "model.class_weight": file,
    }
    (tmp_path / "short.txt").write_text("1 2")
    with pytest.raises(ConfigError, match=r"2 weights for 9 classes.*\(at losses.ce.class_weight=\[1.0, 2.0\]\)"):
        sweep(BASE.with_({"tracking.storage": str(tmp_path)}), {key: choice([None, str(tmp_path / "short.txt")])})


def test_a_config_without_files_is_the_same_config() -> None:
    assert with_weight_files(BASE) is BASE
    assert built().config == BASE
