"""``rayseg data``: label counts of every split, and samples on one picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rayseg.cli import main
from rayseg.config import ExperimentConfig, write_yaml
from rayseg.data import ArrowSegmentation, RandomCrop, RandomFlip, SyntheticStreets, Transform, train_batches, training_sample
from rayseg.errors import ConfigError, ShapeError
from rayseg.launch.run import check_same_run
from rayseg.losses import CLASS_WEIGHT_RULES
from rayseg.tracking import legend, overlay, tiled

Array = NDArray[np.uint8]
TRANSFORMS: list[Transform] = [RandomCrop(size=(16, 24)), RandomFlip()]


def counted(file: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["data", "stats", str(file), "--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_labels_of_each_split_are_those_of_its_masks(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = counted(file, capsys, "--split", "train", "--split", "val")
    for split, counts in found["splits"].items():
        streets = SyntheticStreets(split, size=(32, 48), length=4)
        masks = [streets[index].mask for index in range(4)]
        labels = range(9)
        assert counts["pixels"] == [sum(int((mask == label).sum()) for mask in masks) for label in labels]
        assert counts["class_images"] == [sum(label in mask for mask in masks) for label in labels]
        valid = [int((mask != 255).sum()) for mask in masks]
        there = [sum(n for n, mask in zip(valid, masks, strict=True) if label in mask) for label in labels]
        assert counts["image_pixels"] == there
        assert counts["void_pixels"] == 4 * 32 * 48 - sum(valid)


def test_every_rule_says_its_weights_of_the_training_split_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted(file, capsys)["class_weights"]) == list(CLASS_WEIGHT_RULES)
    assert not counted(file, capsys, "--split", "val")["class_weights"]


def test_classes_that_no_loss_looks_at_are_counted_as_void(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every, fewer = (counted(file, capsys, *words)["splits"]["train"] for words in ((), ("ignore_classes=[sky]",)))
    assert fewer["pixels"] == [0, *every["pixels"][1:]]
    assert fewer["void_pixels"] == every["void_pixels"] + every["pixels"][0]


def test_stats_say_which_classes_are_nowhere(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "stats", str(file), "ignore_classes=[sky, road]", "--split", "test"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("test: 4 images, 6,144 pixels, ")
    assert "\nin no image: sky, road" in told
    assert "class weights" not in told


def test_the_rest_of_a_config_may_be_wrong_but_not_its_data(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "stats", str(file), "model={type: unknown}", "losses.ce.smoth=1"]) == 0
    capsys.readouterr()
    assert main(["data", "stats", str(file), "data.dataset.sise=[32, 48]", "model={type: unknown}"]) == 2
    told = capsys.readouterr().err
    assert "data.dataset.sise" in told
    assert "unknown" not in told
    assert main(["data", "stats", str(file), "data.ignore_index=3"]) == 2
    assert "data.ignore_index: 3 is class" in capsys.readouterr().err
    assert main(["data", "stats", str(file), "--split", "dev"]) == 2
    assert "no split 'dev'; expected one of train, val, test" in capsys.readouterr().err


def test_a_second_word_that_is_not_known_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["data"], ["data", "stat", "x.yaml"]):
        with pytest.raises(SystemExit):
            main(words)
    assert "rayseg data: error" in capsys.readouterr().err


@pytest.fixture
def cropped(small: ExperimentConfig, tmp_path: Path) -> Path:
    transforms = {"crop": {"type": "random_crop", "size": [16, 24]}, "flip": {"type": "random_flip"}}
    return write_yaml(small.with_({"data.transforms": transforms, "data.pad_size": [20, 24]}), tmp_path / "cropped.yaml")


def drawn(path: Path) -> Array:
    with Image.open(path) as picture:
        return np.asarray(picture, np.uint8)


def test_the_samples_are_those_of_the_run(small: ExperimentConfig) -> None:
    streets = SyntheticStreets("train", size=(32, 48), length=4)
    stream = train_batches(
        streets,
        TRANSFORMS,
        seed=3,
        batch_size=2,
        num_micro=1,
        start_step=2,
        stop_step=3,
        rank=0,
        world_size=1,
        pad_size=None,
        num_classes=9,
        ignore_index=255,
        mean=(0, 0, 0),
        std=(1, 1, 1),
    )
    (batch,) = next(iter(stream))
    for image, mask, key in zip(batch.images, batch.masks, batch.keys.tolist(), strict=True):
        sample = training_sample(streets, TRANSFORMS, 3, key, 9, 255)
        assert np.array_equal(sample.mask, mask.numpy())
        assert np.array_equal(sample.image.transpose(2, 0, 1), image.numpy())


def test_a_preview_shows_images_and_labels_padded_as_the_model_gets_them(
    cropped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "sheet.png"
    assert main(["data", "preview", str(cropped), "--samples", "3", "--columns", "2", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "transforms      crop, flip\n" in told
    assert "height x width  20x24\n" in told
    sample = training_sample(SyntheticStreets("train", size=(32, 48), length=4), TRANSFORMS, 0, 0, 9, 255)
    sheet = drawn(out)
    assert np.array_equal(sheet[28:44, 8:32], sample.image)
    assert np.array_equal(sheet[44:48, 8:32], np.broadcast_to(np.array([124, 116, 104], np.uint8), (4, 24, 3)))
    palette = SyntheticStreets("train").palette
    assert np.array_equal(sheet[28:44, 34:58], overlay(sample.image, sample.mask, palette, 255))


def test_colours_in_the_config_are_those_of_the_pictures_and_of_what_is_converted(
    cropped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    palette, out = [[10 * label, 0, 99] for label in range(9)], tmp_path / "sheet.png"
    words = [f"data.palette={palette}", "--out"]
    assert main(["data", "preview", str(cropped), "--raw", *words, str(out)]) == 0
    sample = SyntheticStreets("train", size=(32, 48), length=4)[0]
    assert np.array_equal(drawn(out)[28:60, 58:106], overlay(sample.image, sample.mask, palette, 255))
    assert main(["data", "convert", str(cropped), "--format", "arrow", *words, str(tmp_path / "arrow")]) == 0
    assert ArrowSegmentation("train", path=str(tmp_path / "arrow")).palette == tuple(map(tuple, palette))
    assert main(["data", "preview", str(cropped), "data.palette=[[0, 0, 0]]", "--out", str(out)]) == 2
    assert "data.palette: 1 colours for 9 classes" in capsys.readouterr().err


def test_raw_samples_and_other_splits_are_as_they_lie(
    cropped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sheet.png"
    for words, split in ((["--raw"], "train"), (["--split", "val"], "val")):
        assert main(["data", "preview", str(cropped), "--first", "1", "--out", str(out), *words]) == 0
        assert "height x width  32x48" in capsys.readouterr().out
        assert np.array_equal(drawn(out)[28:60, 8:56], SyntheticStreets(split, size=(32, 48), length=4)[1].image)


def test_a_preview_that_cannot_be_is_refused(cropped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "sheet.png")]
    assert main(["data", "preview", str(cropped), "--samples", "0", "--columns", "-1", *out]) == 2
    told = capsys.readouterr().err
    assert "--samples: must be 1 or more, got 0" in told
    assert "--columns: must be 1 or more, got -1" in told
    assert main(["data", "preview", str(cropped), "--raw", "--first", "4", *out]) == 2
    assert "--first: 4: there are 4 images" in capsys.readouterr().err
    assert main(["data", "preview", str(cropped), "data.transforms.crop.size=[0, 4]", *out]) == 2
    assert "data.transforms.crop" in capsys.readouterr().err
    (tmp_path / "file").write_text("in the way")
    assert main(["data", "preview", str(cropped), "--out", str(tmp_path / "file" / "sheet.png")]) == 2
    assert "cannot be written" in " ".join(capsys.readouterr().err.split())  # lines are broken by the path's length


def test_a_legend_has_the_colour_of_every_class() -> None:
    palette = [(200, 10 * label, 7) for label in range(20)]
    picture = legend([f"class {label}" for label in range(20)], palette, 300)
    colours = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert set(palette) <= colours


def test_tiles_lie_where_they_belong_and_long_titles_keep_their_end() -> None:
    tiles = [np.full((6, 40, 3), 10 * number, np.uint8) for number in range(1, 4)]
    sheet = tiled(tiles, ["short", "a/very/long/path/to/some/picture.png", "c"], 2)
    assert np.array_equal(sheet[28:34, 8:48], tiles[0])
    assert np.array_equal(sheet[28:34, 56:96], tiles[1])
    assert np.array_equal(sheet[62:68, 8:48], tiles[2])
    assert (sheet[8:28, 96:] == 255).all()
    with pytest.raises(ShapeError, match="0 tiles, 1 titles"):
        tiled([], ["a"], 1)


def test_a_run_goes_on_with_other_colours_but_not_with_other_classes(small: ExperimentConfig, tmp_path: Path) -> None:
    write_yaml(small, tmp_path / "config.yaml")
    check_same_run(small.with_({"data.palette": [[label, 0, 0] for label in range(9)]}), tmp_path)
    with pytest.raises(ConfigError, match=r"data\.class_names: was"):
        check_same_run(small.with_({"data.class_names": [*"abcdefghi"]}), tmp_path)
