"""Any data set to Parquet and Arrow and back: the same pixels, once, whole, and never half."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rayseg.cli import main
from rayseg.config import ExperimentConfig, write_yaml
from rayseg.data import (
    ArrowSegmentation,
    Dataset,
    FolderSegmentation,
    Format,
    ParquetSegmentation,
    SyntheticStreets,
    convert_split,
)
from rayseg.data._decode import encode_png
from rayseg.errors import DataError
from rayseg.types import Sample

Scenes = list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
CLASSES = ("a", "b", "c")
FORMATS: tuple[Format, ...] = ("parquet", "arrow")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folders(folder_root: Path) -> FolderSegmentation:
    palette = [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    return FolderSegmentation("train", root=str(folder_root), classes=CLASSES, palette=palette)


def opened(form: Format, out: Path, split: str = "train") -> ArrowSegmentation | ParquetSegmentation:
    return (ArrowSegmentation if form == "arrow" else ParquetSegmentation)(split, path=str(out))


def same(one: Dataset, two: Dataset) -> bool:
    assert len(one) == len(two)
    pairs = [(one[index], two[index]) for index in range(len(one))]
    return all(np.array_equal(a.image, b.image) and np.array_equal(a.mask, b.mask) for a, b in pairs)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_read_back_is_what_was_there(folders: FolderSegmentation, tmp_path: Path, form: Format) -> None:
    done = convert_split(folders, "train", tmp_path / "out", form=form, images_per_file=2)
    back = opened(form, tmp_path / "out")
    assert same(folders, back)
    assert [path.name for path in done.files] == [f"train-{number:05}-of-00003.{form}" for number in range(3)]
    assert (back.class_names, back.palette) == (folders.class_names, folders.palette)
    assert [back[index].name for index in range(5)] == [f"train/scene{index}.png" for index in range(5)]
    assert back.image_bytes(3) == folders.image_bytes(3)
    assert np.array_equal(back.mask(4), folders.mask(4))
    assert done.num_bytes == sum(path.stat().st_size for path in done.files)


def test_each_form_becomes_the_other_and_the_same(folders: FolderSegmentation, tmp_path: Path) -> None:
    convert_split(folders, "train", tmp_path / "1", form="parquet", images_per_file=3)
    convert_split(opened("parquet", tmp_path / "1"), "train", tmp_path / "2", form="arrow", images_per_file=4)
    convert_split(opened("arrow", tmp_path / "2"), "train", tmp_path / "3", form="parquet", images_per_file=3)
    assert same(folders, opened("parquet", tmp_path / "3"))
    first, third = ((tmp_path / number / "train-00001-of-00002.parquet").read_bytes() for number in "13")
    assert first == third


def test_what_has_no_encoded_images_becomes_pngs(tmp_path: Path) -> None:
    streets = SyntheticStreets("val", length=3, size=(32, 48))
    convert_split(streets, "val", tmp_path, form="arrow")
    back = opened("arrow", tmp_path, "val")
    assert same(streets, back)
    assert back.palette == streets.palette


def test_several_processes_write_what_one_writes(folders: FolderSegmentation, tmp_path: Path) -> None:
    files = [
        convert_split(folders, "train", tmp_path / str(workers), form="arrow", images_per_file=2, num_workers=workers).files
        for workers in (0, 2)
    ]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


@pytest.mark.parametrize("form", FORMATS)
def test_what_was_interrupted_goes_on_and_what_is_damaged_is_written_again(
    folders: FolderSegmentation, tmp_path: Path, form: Format
) -> None:
    own: dict[str, Any] = {"form": form, "images_per_file": 2}
    whole = convert_split(folders, "train", tmp_path / "whole", **own)

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_split(folders, "train", tmp_path / "out", **own, on_progress=stop)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"train-00000-of-00003.{form}", f"train.{form}.json"]
    with pytest.raises(DataError, match="split 'train' is not whole, 1 of its 3 files are there"):
        opened(form, tmp_path / "out")
    told: list[tuple[int, int]] = []
    done = convert_split(folders, "train", tmp_path / "out", **own, on_progress=lambda *each: told.append(each))
    assert (done.num_kept, told) == (1, [(3, 5), (4, 5), (5, 5)])
    done.files[1].write_bytes(done.files[1].read_bytes()[:-9])
    done.files[2].unlink()
    again = convert_split(folders, "train", tmp_path / "out", **own)
    assert again.num_kept == 1
    assert [path.read_bytes() for path in again.files] == [path.read_bytes() for path in whole.files]
    assert convert_split(folders, "train", tmp_path / "out", **own).num_kept == 3


def test_another_conversion_in_the_way_is_refused(
    folders: FolderSegmentation, folder_root: Path, scenes: Scenes, tmp_path: Path, to_png: Callable[[Any], bytes]
) -> None:
    out = tmp_path / "out"
    convert_split(folders, "train", out, form="arrow", images_per_file=2)
    with pytest.raises(DataError, match=r"train\.arrow\.json: tells of another conversion \(per_file differ\)"):
        convert_split(folders, "train", out, form="arrow", images_per_file=3)
    with pytest.raises(DataError, match=r"\(palette differ\)"):
        convert_split(folders, "train", out, form="arrow", images_per_file=2, palette=((0, 0, 0),) * 3)
    (folder_root / "trainannot" / "scene0.png").write_bytes(to_png(scenes[0][1][::-1]))
    with pytest.raises(DataError, match=r"another conversion \(data differ\); delete it and its files"):
        convert_split(folders, "train", out, form="arrow", images_per_file=2)
    (out / "train.arrow.json").unlink()
    (out / "train-00000-of-00009.arrow").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds other files of split 'train' \(train-00000-of-00009\.arrow\)"):
        convert_split(folders, "train", out, form="arrow", images_per_file=2)


class Moody:
    """Another image each time."""

    class_names, palette = CLASSES, None

    def __init__(self) -> None:
        self.images: Iterator[int] = iter(range(99))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return Sample(np.full((2, 2, 3), next(self.images), np.uint8), np.full((2, 2), index, np.uint8), "x")

    def image_bytes(self, index: int) -> bytes:
        return encode_png(self[index].image)

    def digest(self) -> str:
        return "x"


def test_what_does_not_come_back_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not come back as it was given"):
        convert_split(Moody(), "train", tmp_path / "out", form="parquet")


def test_a_label_that_is_no_class_and_a_place_that_cannot_be_written_are_told(
    folders: FolderSegmentation, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"scene0\.png: mask has labels 2"):
        convert_split(folders, "train", tmp_path / "out", form="arrow", class_names=("a", "b"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        convert_split(folders, "train", tmp_path / "file" / "out", form="arrow")


def test_arrow_files_that_cannot_be_read_are_told(folders: FolderSegmentation, tmp_path: Path) -> None:
    (file,) = convert_split(folders, "train", tmp_path, form="arrow").files
    assert b"scene" not in pickle.dumps(ArrowSegmentation("train", path=str(tmp_path)))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match="not a whole Arrow file"):
        ArrowSegmentation("train", path=str(tmp_path))


def test_the_command_converts_every_split_with_its_labels_and_its_config_goes_on(
    tmp_path: Path, folder_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = {"type": "folders", "root": str(folder_root), "classes": ["a", "b"], "label_map": {"2": "b"}}
    tree = {"data": {"dataset": dataset, "val_split": "train"}, "tracking": {"mlflow": None}}
    file = write_yaml(ExperimentConfig.from_dict(tree), tmp_path / "x.yaml")
    out = tmp_path / "out"
    words = ["data", "convert", str(file), "--out", str(out), "--format", "arrow", "--images-per-file", "4"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:4] == ["train", "5", "2", "0"]
    assert lines[-1] == f"to use them: data.dataset={{type: arrow, path: {out}}}"
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[3] == "2"
    assert np.unique(opened("arrow", out)[0].mask).tolist() == [0, 1, 255]
    assert json.loads((out / "train.arrow.json").read_text())["source"]["classes"] == '["a", "b"]'
    assert main(["data", "stats", str(file), f"data.dataset={{type: arrow, path: {out}}}", "--split", "train"]) == 0
    assert "train: 5 images, 600 pixels" in capsys.readouterr().out
    assert main([*words[:-1], "0"]) == 2
    assert "--images-per-file: must be 1 or more" in capsys.readouterr().err
