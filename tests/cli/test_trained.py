"""Checkpoints used again: evaluate, predict, and their commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import rayseg
from rayseg.build import evaluate_images, load_trained
from rayseg.cli import main
from rayseg.config import ExperimentConfig
from rayseg.data import SyntheticStreets
from rayseg.engine import read_checkpoint
from rayseg.errors import CheckpointError, ConfigError, DataError
from rayseg.launch import TrainResult, train
from rayseg.metrics import METRICS
from rayseg.models import MODELS, small_unet
from rayseg.report import iou_of_counts

NOWHERE = {"data.dataset": {"type": "folders", "root": "/nowhere"}}


@pytest.fixture
def checkpoint(trained: TrainResult) -> Path:
    assert trained.checkpoint is not None
    return trained.checkpoint


@pytest.fixture
def street() -> NDArray[np.uint8]:
    return SyntheticStreets("test", size=(32, 48), length=1)[0].image


def test_evaluate_gives_the_scores_of_training_to_the_last_bit(trained: TrainResult, checkpoint: Path) -> None:
    before = {name: value for name, value in trained.metrics.items() if name.startswith("val/")}
    np.testing.assert_equal(rayseg.evaluate(checkpoint), before)


def test_evaluate_of_a_named_split_is_that_split(checkpoint: Path) -> None:
    test = rayseg.evaluate(str(checkpoint), split="test")
    as_val = rayseg.evaluate(checkpoint, overrides={"data.val_split": "test"})
    np.testing.assert_equal(list(test.values()), list(as_val.values()))
    assert all(name.startswith("test/") for name in test)
    assert test["test/loss"] != rayseg.evaluate(checkpoint)["val/loss"]


def test_the_test_split_is_the_one_that_the_config_calls_so(checkpoint: Path) -> None:
    scores = rayseg.evaluate(checkpoint, split="test", overrides={"data.test_split": "train"})
    as_val = rayseg.evaluate(checkpoint, overrides={"data.val_split": "train"})
    assert scores["test/loss"] == as_val["val/loss"]


def test_a_plain_copy_of_a_checkpoint_is_a_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "from_tune")
    np.testing.assert_equal(rayseg.evaluate(copy), rayseg.evaluate(checkpoint))


def test_weights_from_elsewhere_are_scored_as_the_model_that_they_came_from(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {f"model.{name}": value for name, value in read_checkpoint(checkpoint, "model.pt").items()}
    torch.save({"state_dict": weights, "meta": {"epoch": 3}}, tmp_path / "theirs.pth")
    words = [str(checkpoint / "config.yaml"), str(tmp_path / "theirs.pth"), "--out", str(tmp_path / "ours")]
    assert main(["adopt", *words]) == 0
    assert "0 re-initialised" in capsys.readouterr().out
    np.testing.assert_equal(rayseg.evaluate(tmp_path / "ours"), rayseg.evaluate(checkpoint))
    assert main(["adopt", *words]) == 2
    assert "is there already" in capsys.readouterr().err


def test_weights_from_elsewhere_must_be_all_there(checkpoint: Path, tmp_path: Path) -> None:
    weights = read_checkpoint(checkpoint, "model.pt")
    lost = next(iter(weights))
    del weights[lost]
    torch.save(weights, tmp_path / "theirs.pth")
    config = rayseg.load_config(checkpoint / "config.yaml", {"init": {"checkpoint": str(tmp_path / "theirs.pth")}})
    with pytest.raises(ConfigError, match=lost.replace(".", r"\.")):
        rayseg.adopt(config, tmp_path / "ours")
    with pytest.raises(ConfigError, match="says no weights"):
        rayseg.adopt(config.with_({"init": None}), tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_a_network_of_mmsegmentation_predicts_without_its_data(tmp_path: Path, street: NDArray[np.uint8]) -> None:
    backbone = {"type": "ResNet", "depth": 18, "base_channels": 4, "stem_channels": 4}
    head = {"type": "FCNHead", "channels": 4, "num_classes": 19}
    network = {"type": "mmseg", "backbone": backbone, "decode_head": head}
    config = ExperimentConfig().with_({**NOWHERE, "model": network, "init": {"checkpoint": str(tmp_path / "theirs.pth")}})
    torch.save({"state_dict": MODELS["mmseg"](19, backbone=backbone, decode_head=head).state_dict()}, tmp_path / "theirs.pth")
    report = rayseg.adopt(config, tmp_path / "ours")
    assert not report.reinitialised
    (mask,) = rayseg.predict(tmp_path / "ours", [street])
    assert mask.shape == street.shape[:2]
    assert load_trained(tmp_path / "ours").class_names[-1] == "class 18"


def test_masks_have_the_size_of_each_image(checkpoint: Path, street: NDArray[np.uint8], tmp_path: Path) -> None:
    Image.fromarray(street).save(tmp_path / "street.png")
    masks = list(rayseg.predict(checkpoint, [street, tmp_path / "street.png", np.zeros((20, 30, 3), np.uint8)]))
    assert [mask.shape for mask in masks] == [(32, 48), (32, 48), (20, 30)]
    np.testing.assert_array_equal(masks[0], masks[1])


def test_masks_are_the_model_s_classes_of_the_image_as_the_config_normalises_it(
    checkpoint: Path, street: NDArray[np.uint8]
) -> None:
    mean, std = [30.0, 120.0, 210.0], [4.0, 8.0, 16.0]
    trained = load_trained(checkpoint, overrides={"data.mean": mean, "data.std": std})
    normalised = (torch.from_numpy(street).permute(2, 0, 1) - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[
        :, None, None
    ]
    with torch.no_grad():
        logits = trained.model(normalised[None])["main"]
    wanted = torch.nn.functional.interpolate(logits, (32, 48), mode="bilinear", align_corners=False).argmax(1)[0].numpy()
    mask = next(rayseg.predict(trained, [street]))
    assert (mask == wanted).mean() > 0.99
    assert (mask != next(rayseg.predict(checkpoint, [street]))).any()


def test_what_was_loaded_once_predicts_the_same(checkpoint: Path, street: NDArray[np.uint8]) -> None:
    loaded = load_trained(checkpoint)
    assert not loaded.model.training
    assert loaded.class_names == SyntheticStreets("train").class_names
    np.testing.assert_array_equal(next(rayseg.predict(loaded, [street])), next(rayseg.predict(checkpoint, [street])))


def test_prediction_needs_no_data_set(checkpoint: Path, street: NDArray[np.uint8]) -> None:
    elsewhere = load_trained(checkpoint, overrides=NOWHERE)
    assert elsewhere.class_names == tuple(f"class {index}" for index in range(9))
    assert elsewhere.palette is None
    np.testing.assert_array_equal(next(rayseg.predict(elsewhere, [street])), next(rayseg.predict(checkpoint, [street])))


def test_the_average_is_what_is_used(small: ExperimentConfig, tmp_path: Path) -> None:
    result = train(small.with_({"tracking.storage": str(tmp_path), "train.ema": {"decay": 0.9, "warmup": 1.0}}))
    assert result.checkpoint is not None
    weights = load_trained(result.checkpoint).model.state_dict()
    state = read_checkpoint(result.checkpoint)
    assert all(torch.equal(weights[name], state["ema"][name]) for name in weights)
    assert any(not torch.equal(weights[name], state["model"][name]) for name in weights)


def test_what_was_given_by_value_must_be_given_again(
    small: ExperimentConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts: dict[str, Callable[..., Any]] = {"mine": lambda num_classes: small_unet(num_classes, width=4, depth=1)}
    config = small.with_({"model": {"type": "mine"}, "tracking.storage": str(tmp_path)})
    result = train(config, components=parts)
    assert result.checkpoint is not None
    with pytest.raises(ConfigError, match=r"model\.type: unknown name 'mine'.*components="):
        rayseg.predict(result.checkpoint, [])
    with pytest.raises(ConfigError, match="components="):
        rayseg.evaluate(result.checkpoint)
    assert rayseg.evaluate(result.checkpoint, components=parts)["val/mIoU"] == result.metrics["val/mIoU"]
    assert main(["eval", str(result.checkpoint)]) == 2
    assert "from Python" in capsys.readouterr().err


class _Hook:
    def on_start(self, run: Any) -> None: ...


def test_parts_that_only_train_are_not_asked_for(small: ExperimentConfig, tmp_path: Path) -> None:
    config = small.with_({"hooks.mine": {"type": "mine"}, "tracking.storage": str(tmp_path)})
    result = train(config, components={"mine": _Hook})
    assert result.checkpoint is not None
    assert rayseg.evaluate(result.checkpoint)["val/loss"] == result.metrics["val/loss"]


def _torn(folder: Path) -> Path:
    (folder / "model.pt").write_bytes((folder / "model.pt").read_bytes()[:-1])
    return folder


def _unsealed(folder: Path) -> Path:
    (folder / "manifest.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: folder / "gone", "no such directory; expected a checkpoint"),
        (lambda folder: folder / "model.pt", "a file, no such directory .* rayseg adopt CONFIG "),
        (_torn, "missing or changed since it was written"),
        (_unsealed, "not a checkpoint, or a torn one"),
        (lambda folder: folder.parent.parent, "it holds 1; name one of them: .*step_00000002"),
        (lambda _: "s3://bucket/step_00000002", "copy it here first"),
    ],
)
def test_what_is_no_checkpoint_is_refused(
    checkpoint: Path, tmp_path: Path, make: Callable[[Path], Path | str], told: str
) -> None:
    place = make(shutil.copytree(checkpoint, tmp_path / "checkpoints" / checkpoint.name))
    for use in (rayseg.evaluate, lambda path: rayseg.predict(path, [])):
        with pytest.raises(CheckpointError, match=told):
            use(place)


def test_weights_of_another_model_are_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="do not fit the model of 9 classes"):
        load_trained(checkpoint, overrides={"model.width": 8})


def test_weights_of_another_data_set_are_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="do not fit the model of 2 classes"):
        load_trained(checkpoint, overrides={"data.class_names": ["a", "b"]})


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8), np.zeros((4, 4, 3)), "gone.png"])
def test_what_is_no_picture_is_refused(checkpoint: Path, image: Any) -> None:
    with pytest.raises(DataError, match=r"expected uint8|cannot be read"):
        next(rayseg.predict(checkpoint, [image]))


def test_the_command_eval_prints_the_scores(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(checkpoint), "--split", "test", "eval.batch_size=1"]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line}
    scores = rayseg.evaluate(checkpoint, split="test")
    assert rows["test/mIoU"] == [f"{scores['test/mIoU']:.4f}"]
    assert rows["class"] == ["IoU", "Acc"]
    assert rows["road"] == [f"{scores['test/IoU/road']:.4f}", f"{scores['test/Acc/road']:.4f}"]


def test_the_command_eval_has_every_metric_and_speaks_to_programs(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(checkpoint), "--all", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics == rayseg.evaluate(checkpoint, overrides={"eval.metrics": list(METRICS)})
    assert main(["eval", str(checkpoint), "--all"]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line}
    assert rows["class"] == ["IoU", "Acc", "Dice", "Fscore", "Precision", "Recall", "BoundaryIoU"]
    never = [name for name in SyntheticStreets("train").class_names if f"val/Precision/{name}" not in metrics]
    assert never
    assert {rows[name][4] for name in never} == {"-"}
    kinds = ("IoU", "Acc", "Dice", "Fscore", "Precision", "Recall", "BoundaryIoU")
    assert {f"val/m{kind}" for kind in kinds} | {f"val/{kind}/road" for kind in kinds if kind != "Precision"} <= metrics.keys()


def test_the_command_eval_refuses_what_changes_no_score(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(checkpoint), "optim.lr=0.1", "train.steps=3", "losses.ce.weight=2"]) == 2
    told = capsys.readouterr().err
    assert "optim.lr: is not used in an evaluation" in told
    assert "train.steps: is not used" in told
    assert "losses.ce.weight" not in told
    assert main(["eval", str(checkpoint), "--all", "eval.metrics=[mDice]"]) == 2
    assert "leave one out" in capsys.readouterr().err


def test_the_command_predict_writes_masks_whose_values_are_classes(
    checkpoint: Path, street: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/a.jpg"):
        Image.fromarray(street).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    assert main(["predict", str(checkpoint), str(folder), "--out", str(out), "--overlay"]) == 0
    with Image.open(out / "a.png") as mask:
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), next(rayseg.predict(checkpoint, [street])))
        palette = SyntheticStreets("train").palette
        assert palette is not None
        assert mask.getpalette()[:27] == [level for colour in palette for level in colour]  # type: ignore[index]
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    assert written == ["a.png", "a_overlay.png", "deep/a.png", "deep/a_overlay.png"]
    with Image.open(out / "a_overlay.png") as overlay:
        assert overlay.size == (48, 32)
    told = capsys.readouterr().out
    assert "2 masks in" in told
    assert "road" in told


SLIDE = {"eval.mode": "slide", "eval.crop_size": [4, 6], "eval.stride": [3, 6]}
VIEWS = {"eval.tta.scales": [0.3, 0.5], "eval.tta.flip": True}


def test_windows_and_views_are_chosen_when_a_checkpoint_is_used(checkpoint: Path, street: NDArray[np.uint8]) -> None:
    plain, mask = rayseg.evaluate(checkpoint)["val/loss"], next(rayseg.predict(checkpoint, [street]))
    for overrides in (SLIDE, VIEWS, {**SLIDE, **VIEWS}):
        assert rayseg.evaluate(checkpoint, overrides=overrides)["val/loss"] != plain
        assert (next(rayseg.predict(checkpoint, [street], overrides=overrides)) != mask).any()


def test_a_run_that_is_scored_in_windows_is_used_in_windows(
    small: ExperimentConfig, tmp_path: Path, street: NDArray[np.uint8]
) -> None:
    result = train(small.with_({**SLIDE, "eval.tta.flip": True, "tracking.storage": str(tmp_path)}))
    assert result.checkpoint is not None
    assert rayseg.evaluate(result.checkpoint)["val/loss"] == result.metrics["val/loss"]
    whole = {"eval": {"mode": "whole"}}
    assert rayseg.evaluate(result.checkpoint, overrides=whole)["val/loss"] != result.metrics["val/loss"]
    masks = [next(rayseg.predict(result.checkpoint, [street], overrides=each)) for each in ({}, whole)]
    assert (masks[0] != masks[1]).any()


def test_the_command_predict_takes_what_decides_a_prediction_and_nothing_else(
    checkpoint: Path, street: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, out = tmp_path / "street=1.png", str(tmp_path / "out")
    Image.fromarray(street).save(picture)
    words = [f"{key}={value}" for key, value in {**SLIDE, "eval.tta.flip": "true"}.items()]
    assert main(["predict", str(checkpoint), str(picture), *words, "--out", out]) == 0
    with Image.open(tmp_path / "out" / "street=1.png") as mask:
        wanted = next(rayseg.predict(checkpoint, [street], overrides={**SLIDE, "eval.tta.flip": True}))
        np.testing.assert_array_equal(np.asarray(mask), wanted)
    assert main(["predict", str(checkpoint), str(picture), "optim.lr=0.1", "eval.every=3", "--out", out]) == 2
    assert "optim.lr: is not used in a prediction; used are data.class_names" in capsys.readouterr().err
    assert main(["predict", str(checkpoint), "eval.tta.flip=true", "--out", out]) == 2
    assert "no pictures" in capsys.readouterr().err
    assert main(["predict", str(checkpoint), str(picture), "eval.stride=[2, 2]", "--out", out]) == 2
    assert "mode is whole" in capsys.readouterr().err


def test_two_masks_of_one_name_are_refused_before_any_is_written(
    checkpoint: Path, street: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "a.jpg"):
        Image.fromarray(street).save(tmp_path / name)
    words = ["predict", str(checkpoint), str(tmp_path / "a.png"), str(tmp_path / "a.jpg"), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "both masks would be a.png" in " ".join(capsys.readouterr().err.split())  # lines are broken by the path's length
    assert not (tmp_path / "out").exists()


def test_a_folder_without_pictures_is_refused(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(checkpoint), str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert main(["predict", str(checkpoint), str(tmp_path / "gone"), "--out", str(tmp_path / "out")]) == 2
    told = " ".join(capsys.readouterr().err.split())  # lines are broken by the path's length
    assert "no pictures in this folder" in told
    assert "no such file or folder" in told


def test_the_counts_of_the_images_make_the_scores_of_the_split(checkpoint: Path) -> None:
    found = evaluate_images(checkpoint, split="test")
    np.testing.assert_equal(found.metrics, rayseg.evaluate(checkpoint, split="test"))
    assert found.counts.shape == (4, 3, len(found.class_names))
    scores = dict(zip(found.class_names, iou_of_counts(found.counts.sum(0).numpy()), strict=True))
    assert {name: found.metrics[f"test/IoU/{name}"] for name in scores} == pytest.approx(scores)
    first = evaluate_images(checkpoint, split="test", overrides={"data.dataset.length": 1})
    assert torch.equal(first.counts[0], found.counts[0])
