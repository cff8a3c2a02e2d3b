"""Parquet and folders: what they give back, and what they say when files are wrong."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from rayseg.data import FolderSegmentation, ParquetSegmentation, check_sample, count_labels
from rayseg.errors import DataError

Array = NDArray[np.uint8]
Scenes = list[tuple[Array, Array]]
CLASSES = ("a", "b", "c")


# -- parquet ----------------------------------------------------------------------------------------------------------


def test_parquet_gives_back_what_was_written(parquet_dir: Path, scenes: Scenes, tmp_path: Path) -> None:
    data = ParquetSegmentation("train", path=str(parquet_dir), classes=CLASSES, cache=str(tmp_path / "c"))
    assert len(data) == 5
    for index, (image, mask) in enumerate(scenes):
        assert np.array_equal(data[index].image, image)
        assert np.array_equal(data[index].mask, mask)
        assert data[index].name == f"scene{index}"


def test_a_split_column_selects_rows(parquet_dir: Path, tmp_path: Path) -> None:
    own: dict[str, Any] = {"path": str(parquet_dir / "all.parquet"), "classes": CLASSES, "cache": str(tmp_path / "c")}
    splits = {split: ParquetSegmentation(split, **own) for split in ("train", "val")}
    names = {split: [data[i].name for i in range(len(data))] for split, data in splits.items()}
    assert names == {"train": ["scene0", "scene2", "scene4"], "val": ["scene1", "scene3"]}
    with pytest.raises(DataError, match="parquet test: no rows"):
        ParquetSegmentation("test", **own)


def test_shards_of_a_split_are_joined(parquet_dir: Path, tmp_path: Path) -> None:
    for shard in range(2):
        (parquet_dir / f"big-{shard}.parquet").write_bytes((parquet_dir / "train.parquet").read_bytes())
    for path in (str(parquet_dir), str(parquet_dir / "{split}-*.parquet")):
        data = ParquetSegmentation("big", path=path, classes=CLASSES, cache=str(tmp_path / "c"))
        assert len(data) == 10
        assert data[7].name == "scene2"


def test_the_cache_is_keyed_by_content_not_by_place(parquet_dir: Path, tmp_path: Path) -> None:
    own: dict[str, Any] = {"classes": CLASSES, "cache": str(tmp_path / "c")}
    first = ParquetSegmentation("train", path=str(parquet_dir), **own)
    moved = parquet_dir.rename(tmp_path / "moved")
    second = ParquetSegmentation("train", path=str(moved), **own)
    assert second.digest() == first.digest()
    assert len(list((tmp_path / "c" / "arrow").iterdir())) == 1
    table = pq.read_table(moved / "train.parquet")
    pq.write_table(table.slice(0, 4), moved / "train.parquet")
    changed = ParquetSegmentation("train", path=str(moved), **own)
    assert changed.digest() != first.digest()
    assert len(changed) == 4


def test_names_come_from_the_schema_without_void_else_are_counted(parquet_dir: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "c")
    assert ParquetSegmentation("train", path=str(parquet_dir), cache=cache).class_names == ("class_0", "class_1", "class_2")
    table = pq.read_table(parquet_dir / "train.parquet")
    named = table.replace_schema_metadata({"classes": json.dumps(["sky", "road", "Void"]), "ignore_index": "2"})
    pq.write_table(named, parquet_dir / "named.parquet")
    assert ParquetSegmentation("named", path=str(parquet_dir), cache=cache).class_names == ("sky", "road")


def _length(job: tuple[str, str]) -> int:
    return len(ParquetSegmentation("train", path=job[0], classes=CLASSES, cache=job[1]))


def test_several_processes_may_fill_the_cache_at_once(parquet_dir: Path, tmp_path: Path) -> None:
    cache = tmp_path / "c"
    with get_context("fork").Pool(3) as pool:
        assert pool.map(_length, [(str(parquet_dir), str(cache))] * 6) == [5] * 6
    assert [path.suffix for path in (cache / "arrow").iterdir()] == [".arrow"]


def test_a_conversion_that_fails_leaves_nothing_behind(parquet_dir: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"name": ["a"], "image": [b""]}), parquet_dir / "torn.parquet")
    with pytest.raises(DataError, match=r"torn\.parquet: no column mask; it has name, image; expected name, image, mask"):
        ParquetSegmentation("torn", path=str(parquet_dir), classes=CLASSES, cache=str(tmp_path / "c"))
    assert list((tmp_path / "c" / "arrow").iterdir()) == []


def test_what_is_not_parquet_or_has_no_bytes_is_refused(parquet_dir: Path, tmp_path: Path) -> None:
    (parquet_dir / "text.parquet").write_bytes(b"name,image,mask")
    nested = {"name": ["a"], "image": [{"bytes": b"", "path": "a"}], "mask": [b""]}
    pq.write_table(pa.table(nested), parquet_dir / "nested.parquet")
    for split in ("text", "nested"):
        with pytest.raises(DataError, match=rf"{split}\.parquet cannot be turned into Arrow .* bytes in 'image'"):
            ParquetSegmentation(split, path=str(parquet_dir), classes=CLASSES, cache=str(tmp_path / "c"))


def test_a_pickled_parquet_carries_no_images_and_works_where_the_cache_is_empty(parquet_dir: Path, tmp_path: Path) -> None:
    data = ParquetSegmentation("train", path=str(parquet_dir), classes=CLASSES, cache=str(tmp_path / "c"))
    pickled = pickle.dumps(data)
    assert b"PNG" not in pickled
    for path in (tmp_path / "c" / "arrow").iterdir():
        path.unlink()
    assert pickle.loads(pickled)[0].name == "scene0"


def test_the_cache_directory_is_the_argument_else_the_variable(
    parquet_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYSEG_CACHE", str(tmp_path / "by_variable"))
    ParquetSegmentation("train", path=str(parquet_dir), classes=CLASSES)
    assert len(list((tmp_path / "by_variable" / "arrow").iterdir())) == 1


def test_a_torn_cache_file_and_a_missing_file_are_named(parquet_dir: Path, tmp_path: Path) -> None:
    own: dict[str, Any] = {"path": str(parquet_dir), "classes": CLASSES, "cache": str(tmp_path / "c")}
    ParquetSegmentation("train", **own)
    next((tmp_path / "c" / "arrow").iterdir()).write_bytes(b"torn")
    with pytest.raises(DataError, match=r"not a whole Arrow file .* delete it"):
        ParquetSegmentation("train", **own)
    with pytest.raises(DataError, match=r"parquet val: no file .*val\.parquet"):
        ParquetSegmentation("val", **own)


def test_a_damaged_row_is_named(parquet_dir: Path, tmp_path: Path) -> None:
    table = pq.read_table(parquet_dir / "train.parquet").to_pydict()
    table["image"][1], table["mask"][2] = table["image"][1][:60], None
    pq.write_table(pa.table(table), parquet_dir / "hurt.parquet")
    data = ParquetSegmentation("hurt", path=str(parquet_dir), classes=CLASSES, cache=str(tmp_path / "c"))
    with pytest.raises(DataError, match="scene1: image of 60 bytes cannot be decoded"):
        data[1]
    with pytest.raises(DataError, match="scene2: row 2 of parquet hurt has no mask"):
        data[2]


# -- folders ----------------------------------------------------------------------------------------------------------


def test_folders_give_back_what_was_written_and_know_camvids_classes(folder_root: Path, scenes: Scenes) -> None:
    data = FolderSegmentation("train", root=str(folder_root), layout="camvid")
    assert data.class_names[10] == "Bicyclist"
    assert data.palette is not None
    for index, (image, mask) in enumerate(scenes):
        assert np.array_equal(data[index].image, image)
        assert np.array_equal(data[index].mask, mask)


def test_cityscapes_names_are_paired_and_other_files_left_alone(
    tmp_path: Path, write_file: Callable[[Path, bytes], None], to_png: Callable[[Array], bytes]
) -> None:
    for city, number in (("ulm", 1), ("bonn", 0)):
        stem = f"{city}/{city}_00000{number}_000019"
        write_file(tmp_path / f"leftImg8bit/val/{stem}_leftImg8bit.png", to_png(np.full((2, 2, 3), number, np.uint8)))
        write_file(tmp_path / f"gtFine/val/{stem}_gtFine_labelTrainIds.png", to_png(np.full((2, 2), number, np.uint8)))
        write_file(tmp_path / f"gtFine/val/{stem}_gtFine_color.png", b"")
    data = FolderSegmentation("val", root=str(tmp_path), layout="cityscapes")
    assert [data[i].mask.max() for i in range(2)] == [0, 1]
    assert len(data.class_names) == 19


def test_any_pair_of_directories_can_be_read(
    tmp_path: Path, write_file: Callable[[Path, bytes], None], to_png: Callable[[Array], bytes]
) -> None:
    write_file(tmp_path / "pics/a_img.png", to_png(np.zeros((2, 2, 3), np.uint8)))
    write_file(tmp_path / "truth/train/a_seg.png", to_png(np.ones((2, 2), np.uint8)))
    own: dict[str, Any] = {"images": "pics", "masks": "truth/{split}", "image_suffix": "_img.png", "mask_suffix": "_seg.png"}
    data = FolderSegmentation("train", root=str(tmp_path), classes=["x", "y"], **own)
    assert data[0].mask.max() == 1
    assert data.palette is None


def test_what_is_missing_is_listed(folder_root: Path) -> None:
    (folder_root / "trainannot" / "scene2.png").unlink()
    (folder_root / "train" / "scene4.png").unlink()
    with pytest.raises(
        DataError, match=r"1 of 4 images have no mask and 1 of 4 masks no image; .*annot/scene2\.png, .*/scene4\.png"
    ):
        FolderSegmentation("train", root=str(folder_root), classes=CLASSES)


def test_folders_that_cannot_be_read_say_what_to_set(folder_root: Path) -> None:
    root = str(folder_root)
    with pytest.raises(DataError, match=r"no directory .*val"):
        FolderSegmentation("val", root=root, classes=CLASSES)
    with pytest.raises(DataError, match=r"no file \*\.jpg"):
        FolderSegmentation("train", root=root, classes=CLASSES, image_suffix=".jpg")
    with pytest.raises(DataError, match="no class names"):
        FolderSegmentation("train", root=root)
    with pytest.raises(DataError, match="no layout 'voc'"):
        FolderSegmentation("train", root=root, layout="voc")  # type: ignore[arg-type]


def test_the_digest_of_folders_follows_the_masks_and_not_the_place(folder_root: Path, scenes: Scenes, tmp_path: Path) -> None:
    before = FolderSegmentation("train", root=str(folder_root), classes=CLASSES).digest()
    moved = folder_root.rename(tmp_path / "elsewhere")
    assert FolderSegmentation("train", root=str(moved), classes=CLASSES).digest() == before
    Image.fromarray(np.zeros_like(scenes[0][1])).save(moved / "trainannot" / "scene0.png")
    assert FolderSegmentation("train", root=str(moved), classes=CLASSES).digest() != before


# -- real data --------------------------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "classes", "ignore", "rows"), [("camvid_small", 11, 11, 101), ("nuclei", 3, 255, 93), ("usgra", 3, 255, 30)]
)
def test_real_sets_can_be_read(shared_data: Path, tmp_path: Path, name: str, classes: int, ignore: int, rows: int) -> None:
    data = ParquetSegmentation("val", path=str(shared_data / name), cache=str(tmp_path))
    assert len(data) == rows
    assert len(data.class_names) == classes
    for index in range(0, rows, 7):
        check_sample(data[index], classes, ignore)


# -- counting ---------------------------------------------------------------------------------------------------------


def test_labels_are_counted_without_decoding_images(parquet_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ParquetSegmentation("train", path=str(parquet_dir), classes=CLASSES, cache=str(tmp_path / "c"))
    own: dict[str, Any] = {"ignore_index": 255, "cache_dir": None}
    expected = sum((np.bincount(data[index].mask.ravel(), minlength=256) for index in range(len(data))), np.zeros(256, int))
    monkeypatch.setattr("rayseg.data._rows.decode_image", None)
    assert count_labels(data, num_classes=3, **own).pixels == tuple(expected[:3].tolist())
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"scene\d.*label"):
        count_labels(data, num_classes=1, **own)
