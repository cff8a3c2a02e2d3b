"""Class weights in a file of their own: every format, and what is said about a file that is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rayseg.errors import ConfigError
from rayseg.losses import read_class_weights

LIST, NAMES = [0.5, 1.0, 2.0], {"sky": 0.5, "road": 1.0, "car": 2.0}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("w.json", json.dumps(LIST), LIST),
        ("w.json", json.dumps(NAMES), NAMES),
        ("w.yaml", "[0.5, 1, 2]", LIST),
        ("w.yml", "sky: 0.5\nroad: 1\ncar: 2e0\n", NAMES),
        ("w.txt", "# sky road car\n0.5, 1\n2.0  # often missed\n", LIST),
    ],
)
def test_a_list_or_a_mapping_from_names(tmp_path: Path, name: str, text: str, expected: object) -> None:
    (tmp_path / name).write_text(text)
    assert read_class_weights(tmp_path / name) == expected


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_an_array(tmp_path: Path, dtype: type[np.generic]) -> None:
    np.save(tmp_path / "w.npy", np.array([1, 2, 3], dtype))
    assert read_class_weights(str(tmp_path / "w.npy")) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("w.json", "[1, -2]", r"w.json: weight number 1 is -2; expected a finite number, 0 or more"),
        ("w.json", '{"sky": NaN}', "weight 'sky' is nan"),
        ("w.json", "[1, [2]]", r"weight number 1 is \[2\]"),
        ("w.json", "[true]", "weight number 0 is True"),
        ("w.json", "3", "holds int; expected a list"),
        ("w.json", "[1,", "cannot be read as .json"),
        ("w.yaml", "!!python/object/apply:os.getcwd []", "cannot be read as .yaml"),
        ("w.txt", "1 two", "cannot be read as .txt"),
        ("w.npy", "no array", "cannot be read as .npy"),
        ("w.csv", "1", r"a file of class weights ends in .json, .npy, .txt, .yaml, .yml"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_class_weights(tmp_path / name)


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([1, None], object), allow_pickle=True)
    with pytest.raises(ConfigError, match=r"cannot be read as \.npy"):
        read_class_weights(tmp_path / "w.npy")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"w.json: no such file; the path is relative to the config file"):
        read_class_weights(tmp_path / "w.json")
