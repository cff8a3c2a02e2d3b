"""What a user writes into a config of MMSegmentation and nothing reads."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from rayseg.compat import read_mmseg_config
from rayseg.errors import ConfigError

BASE = """
data_root = 'theirs'
train_pipeline = [dict(type='LoadImageFromFile')]
optimizer = dict(type='SGD', lr=0.01)
optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer)
model = dict(type='EncoderDecoder')
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
"""


def said(code: str, place: Path, options: dict[str, Any] | None = None, base: str = BASE) -> list[str]:
    """Warnings on reading a child."""
    (place / "base.py").write_text(base)
    (place / "child.py").write_text(f"_base_ = './base.py'\n{code}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_mmseg_config(place / "child.py", options, {})
    return [str(each.message) for each in caught]


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("data_root = 'mine'", "train_dataloader.dataset.data_root"),
        ("train_pipeline = []", "train_dataloader.dataset.pipeline"),
        ("optimizer = dict(lr=0.02)", "optim_wrapper.optimizer"),
    ],
)
def test_a_variable_of_a_base_that_nothing_reads_any_more_is_told_with_the_key_that_is_meant(
    code: str, key: str, tmp_path: Path
) -> None:
    (message,) = said(code, tmp_path)
    assert "nothing in this file reads it" in message
    assert message.endswith(f"write {key}")


@pytest.mark.parametrize(
    "code",
    [
        "data_root = 'mine'\ntrain_dataloader = dict(dataset=dict(data_root=data_root))",
        "data_root = 'theirs'",
        "model = dict(type='A')",
        "note = 'of mine'",
    ],
)
def test_what_is_read_or_changes_nothing_is_no_cause_for_a_warning(code: str, tmp_path: Path) -> None:
    assert said(code, tmp_path) == []


def test_an_optimizer_of_0x_is_a_section_and_no_variable(tmp_path: Path) -> None:
    base = "optimizer = dict(type='SGD', lr=0.01)\ndata = dict(samples_per_gpu=2)"
    assert said("optimizer = dict(lr=0.02)", tmp_path, {"optimizer.lr": 0.3}, base) == []


def test_options_that_change_no_section_are_refused_all_at_once(tmp_path: Path) -> None:
    options = {"data_root": "mine", "optimizer.lr": 0.1, "modle.type": "A", "model.type": "A", "load_from": "a.pth"}
    with pytest.raises(ConfigError) as caught:
        said("", tmp_path, options)
    assert [problem.path for problem in caught.value.problems] == ["data_root", "optimizer.lr", "modle.type"]
    assert "optim_wrapper.optimizer" in str(caught.value)
    assert "did you mean 'model'?" in str(caught.value)
