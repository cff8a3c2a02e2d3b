"""A checkpoint for other programs: weights in two layouts, and everything that is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rayseg
from rayseg.build import Trained, load_trained
from rayseg.cli import main
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError, RaysegError
from rayseg.launch import TrainResult
from rayseg.models import match_weights, mmseg, read_state, set_norm
from rayseg.models.weights import WeightRules

BODY = {"type": "ResNetV1c", "depth": 18, "stem_channels": 4, "base_channels": 4}
HEAD = {"type": "PSPHead", "channels": 4}
NAMES, COLOURS = ("road", "sky"), ((1, 2, 3), (4, 5, 6))


@pytest.fixture
def checkpoint(trained: TrainResult) -> str:
    return str(trained.checkpoint)


def trained_mmseg(**config: Any) -> Trained:
    torch.manual_seed(0)
    made = mmseg(2, backbone=BODY, decode_head=HEAD).eval()
    return Trained(ExperimentConfig().with_({"model": {"type": "mmseg"}, **config}), made, NAMES, COLOURS)


def test_weights_in_mmsegmentation_s_layout_are_read_as_any_of_its_files(tmp_path: Path) -> None:
    source = trained_mmseg()
    rayseg.export(source, tmp_path / "deep" / "a.pth", form="mmseg")
    meta = torch.load(tmp_path / "deep" / "a.pth", weights_only=True)["meta"]
    assert (meta["CLASSES"], meta["PALETTE"]) == (NAMES, [[1, 2, 3], [4, 5, 6]])
    assert meta["dataset_meta"] == {"classes": NAMES, "palette": [[1, 2, 3], [4, 5, 6]]}
    other = mmseg(2, backbone=BODY, decode_head=HEAD).state_dict()
    tensors, report = match_weights(other, read_state(tmp_path / "deep" / "a.pth"), WeightRules(strict=True), source="a.pth")
    assert (report.left, dict(report.reinitialised), report.taken_off, report.put_on) == ((), {}, "", "")
    assert all(torch.equal(value, tensors[name]) for name, value in source.model.state_dict().items())


def test_plain_weights_are_those_of_the_checkpoint(checkpoint: str, tmp_path: Path) -> None:
    assert main(["export", checkpoint, "--format", "state_dict", "--output", str(tmp_path / "a.pt")]) == 0
    expected = load_trained(checkpoint).model.state_dict()
    torch.testing.assert_close(read_state(tmp_path / "a.pt"), dict(expected), rtol=0, atol=0)


def test_only_models_with_mmsegmentation_s_names_have_its_layout(checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mmseg is for models of type mmseg, and this is 'small_unet'"):
        rayseg.export(checkpoint, tmp_path / "a.pth", form="mmseg")
    grouped = trained_mmseg()
    set_norm(grouped.model, "group")
    with pytest.raises(ConfigError, match="group norms have other names"):
        rayseg.export(grouped, tmp_path / "a.pth", form="mmseg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--output", "a.pth"], "does not tell the format"),
        (["--output", "a.bin", "--format", "torch_export"], "to end in .pt2, got 'a.bin'"),
        (["--output", "a.pt", "--format", "state_dict", "--size", "4", "4"], "--size: says something about programs"),
        (["--output", "a.pt", "--format", "state_dict", "--returns", "classes"], "--returns: says something"),
        (["--output", "a.onnx", "optim.lr=1"], "optim.lr: is not used in an export"),
        (["--output", "a.onnx", "--images", "gone"], "no such file or folder"),
        (["--output", "a.pt2", "data.dataset={type: folders, root: /nowhere}"], "cannot be opened here; give some pictures"),
    ],
)
def test_what_cannot_be_exported_is_told(
    checkpoint: str,
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", checkpoint, *words]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_missing_is_named_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(RaysegError, match=r"format onnx needs the package onnxscript; install rayseg\[export\]"):
        rayseg.export(tmp_path / "gone", tmp_path / "a.onnx")


@pytest.mark.examples
@pytest.mark.filterwarnings("ignore")
def test_a_program_is_checked_on_images_and_kept_only_if_it_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = trained_mmseg(**{"data.dataset.length": 2, "eval.tta.flip": True})
    with pytest.raises(RaysegError, match="not written, because the program and the model disagree by more than -1"):
        rayseg.export(source, tmp_path / "a.pt2", tolerance=-1)
    assert list(tmp_path.iterdir()) == []
    done = rayseg.export(source, tmp_path / "a.pt2", returns="classes", images=[np.zeros((100, 90, 3), np.uint8)])
    assert done.agreement is not None
    assert (done.agreement.images, done.agreement.pixels) == (4, 0)
    assert done.notes == ("eval.tta: the program sees each image once",)
    classes = torch.export.load(tmp_path / "a.pt2").module()(torch.zeros(2, 3, 64, 72))
    assert (classes.shape, classes.dtype) == ((2, 64, 72), torch.int64)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.pt2"]
