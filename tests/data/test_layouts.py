"""Known data sets: where their files lie, what their labels mean; labels that become others."""

from __future__ import annotations

import io
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rayseg.build.data import open_split
from rayseg.config import ExperimentConfig
from rayseg.data import FolderSegmentation, check_sample, label_table
from rayseg.data._layouts import LAYOUTS, LayoutName, colours_of
from rayseg.errors import ConfigError, DataError
from tests.data.mmseg_classes import SOURCES, classes_of, defaults_of, text_of

#: layout, split, image, mask below the root, number of classes, labels in the file 0 1 255 -> labels that come out.
TREES: list[tuple[LayoutName, str, str, str, int, list[int]]] = [
    (
        "cityscapes",
        "val",
        "leftImg8bit/val/ulm/a_leftImg8bit.png",
        "gtFine/val/ulm/a_gtFine_labelTrainIds.png",
        19,
        [0, 1, 255],
    ),
    ("camvid", "train", "train/a.png", "trainannot/a.png", 11, [0, 1, 255]),
    ("ade20k", "train", "images/training/a.jpg", "annotations/training/a.png", 150, [255, 0, 255]),
    ("ade20k", "val", "images/validation/a.jpg", "annotations/validation/a.png", 150, [255, 0, 255]),
    ("drive", "train", "images/training/21_training.png", "annotations/training/21_training_manual1.png", 2, [0, 1, 255]),
    ("stare", "val", "images/validation/im0001.png", "annotations/validation/im0001.ah.png", 2, [0, 1, 255]),
    ("chase_db1", "val", "images/validation/Image_11L.png", "annotations/validation/Image_11L_1stHO.png", 2, [0, 1, 255]),
    ("hrf", "train", "images/training/01_dr.png", "annotations/training/01_dr.png", 2, [0, 1, 255]),
    ("mapillary_v1", "val", "validation/images/a.jpg", "validation/v1.2/labels/a.png", 66, [0, 1, 255]),
    ("mapillary_v2", "train", "training/images/a.jpg", "training/v2.0/labels/a.png", 124, [0, 1, 255]),
    ("loveda", "train", "img_dir/train/0.png", "ann_dir/train/0.png", 7, [255, 0, 255]),
    ("coco_stuff10k", "train", "images/train2014/a.jpg", "annotations/train2014/a_labelTrainIds.png", 171, [255, 0, 255]),
    ("coco_stuff10k", "val", "images/test2014/a.jpg", "annotations/test2014/a_labelTrainIds.png", 171, [255, 0, 255]),
    ("coco_stuff164k", "val", "images/val2017/a.jpg", "annotations/val2017/a_labelTrainIds.png", 171, [0, 1, 255]),
    ("isaid", "val", "img_dir/val/P0_1.png", "ann_dir/val/P0_1_instance_color_RGB.png", 16, [0, 1, 255]),
    ("potsdam", "train", "img_dir/train/2_10_0.png", "ann_dir/train/2_10_0.png", 6, [255, 0, 255]),
    ("vaihingen", "val", "img_dir/val/area1.png", "ann_dir/val/area1.png", 6, [255, 0, 255]),
    ("pascal_voc", "val", "JPEGImages/a.jpg", "SegmentationClass/a.png", 21, [0, 1, 255]),
    ("pascal_voc_aug", "val", "JPEGImages/a.jpg", "SegmentationClass/a.png", 21, [0, 1, 255]),
    ("pascal_context", "train", "JPEGImages/a.jpg", "SegmentationClassContext/a.png", 60, [0, 1, 255]),
    ("pascal_context_59", "val", "JPEGImages/a.jpg", "SegmentationClassContext/a.png", 59, [255, 0, 255]),
]
LISTINGS = {"pascal_voc": "Segmentation", "pascal_voc_aug": "Segmentation", "pascal_context": "SegmentationContext"}
LISTINGS |= {"pascal_context_59": "SegmentationContext"}


def write(path: Path, pixels: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, "JPEG" if path.suffix == ".jpg" else "PNG")
    path.write_bytes(file.getvalue())


def pair(root: Path, image: str, mask: str, labels: list[int] | None = None) -> None:
    labels = [0, 1, 255] if labels is None else labels
    write(root / image, np.zeros((1, len(labels), 3)))
    write(root / mask, [labels])


def listed(root: Path, folder: str, split: str, *stems: str) -> None:
    path = root / "ImageSets" / folder / f"{split}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{stem}\n" for stem in stems))


@pytest.mark.parametrize(("layout", "split", "image", "mask", "num_classes", "labels"), TREES)
def test_a_known_data_set_is_found_where_it_lies(
    tmp_path: Path, layout: LayoutName, split: str, image: str, mask: str, num_classes: int, labels: list[int]
) -> None:
    pair(tmp_path, image, mask)
    if layout in LISTINGS:
        listed(tmp_path, LISTINGS[layout], split, "a")
    data = FolderSegmentation(split, root=str(tmp_path), layout=layout)
    assert len(data) == 1
    assert data[0].mask.tolist() == [labels]
    assert data.mask(0).tolist() == [labels]
    assert len(data.class_names) == num_classes == len(set(data.class_names))
    assert data.palette is not None
    assert len(data.palette) == num_classes
    check_sample(data[0], num_classes, 255)


def test_every_layout_has_a_tree_and_a_name() -> None:
    assert {tree[0] for tree in TREES} | {"pairs"} == set(LAYOUTS) == set(get_args(LayoutName))


def test_the_augmented_pascal_set_is_both_lists_to_train_and_one_to_validate(tmp_path: Path) -> None:
    for stem, folder in (("a", "SegmentationClass"), ("b", "SegmentationClassAug"), ("c", "SegmentationClass")):
        pair(tmp_path, f"JPEGImages/{stem}.jpg", f"{folder}/{stem}.png")
    for split, stem in (("train", "a"), ("aug", "b"), ("val", "c")):
        listed(tmp_path, "Segmentation", split, stem)
    train, val = (FolderSegmentation(split, root=str(tmp_path), layout="pascal_voc_aug") for split in ("train", "val"))
    assert [Path(train[index].name).stem for index in range(len(train))] == ["a", "b"]
    assert [Path(val[index].name).stem for index in range(len(val))] == ["c"]
    listed(tmp_path, "Segmentation", "mine", "b")
    mine = FolderSegmentation("mine", root=str(tmp_path), layout="pascal_voc_aug", masks="SegmentationClassAug")
    assert [Path(mine[index].name).stem for index in range(len(mine))] == ["b"]


def test_a_listing_takes_some_of_the_images_and_must_be_right(tmp_path: Path) -> None:
    for stem in ("a", "b", "c"):
        pair(tmp_path, f"train/{stem}.png", f"trainannot/{stem}.png")
    own: dict[str, Any] = {"root": str(tmp_path), "classes": ["x", "y"], "listing": "{split}.txt"}
    (tmp_path / "train.txt").write_text("c\n\na \n")
    data = FolderSegmentation("train", **own)
    assert [Path(data[index].name).stem for index in range(len(data))] == ["a", "c"]
    (tmp_path / "train.txt").write_text("a\nd\n")
    with pytest.raises(DataError, match=r"missing: \S+/trainannot/d\.png, \S+/train/d\.png.*or correct \S+/train\.txt"):
        FolderSegmentation("train", **own)
    (tmp_path / "train.txt").write_text("\n")
    with pytest.raises(DataError, match=r"train\.txt lists no images"):
        FolderSegmentation("train", **own)
    with pytest.raises(DataError, match=r"none\.txt cannot be read .*set listing"):
        FolderSegmentation("train", **(own | {"listing": "none.txt"}))


@given(
    reduce=st.booleans(),
    moved=st.dictionaries(st.integers(0, 255), st.one_of(st.none(), st.integers(0, 255)), max_size=8),
    void=st.integers(0, 255),
)
def test_labels_become_what_two_loops_make_of_them(reduce: bool, moved: dict[int, int | None], void: int) -> None:
    table = label_table(
        "x", reduce_zero_label=reduce, label_map={str(key): value for key, value in moved.items()}, ignore_index=void
    )
    for label in range(256):
        reduced = (void if label in {0, 255} else label - 1) if reduce else label
        expected = moved.get(reduced, reduced)
        assert (label if table is None else int(table[label])) == (void if expected is None else expected)


def test_classes_are_merged_dropped_and_renamed_by_name(tmp_path: Path) -> None:
    pair(tmp_path, "img_dir/train/0.png", "ann_dir/train/0.png", [0, 1, 2, 3, 4, 5, 6, 7])
    keep = {"building": "built", "road": "built", "water": "water", "background": None, "barren": None}
    own: dict[str, Any] = {"layout": "loveda", "root": str(tmp_path), "classes": ["water", "built"]}
    data = FolderSegmentation("train", label_map={**keep, "forest": None, "agricultural": "0"}, **own)
    assert data[0].mask.tolist() == [[255, 255, 1, 1, 0, 255, 255, 0]]
    assert data.palette is None
    half = FolderSegmentation("train", **(own | {"classes": ["water", "road"]}))
    assert half.palette == tuple(colours_of("loveda")[name] for name in ("water", "road"))


def test_a_map_of_labels_that_cannot_be_is_refused() -> None:
    own: dict[str, Any] = {"old_names": ["car", "truck"], "names": ["vehicle"]}
    with pytest.raises(DataError, match=r"here: label_map has 'lorry'; expected .*classes in the files: car, truck"):
        label_table("here", label_map={"lorry": 0}, **own)
    with pytest.raises(DataError, match=r"label_map has 'car'; expected .* one of the classes: vehicle"):
        label_table("here", label_map={"car": "car"}, **own)
    with pytest.raises(DataError, match="label_map has 256"):
        label_table("here", label_map={"car": 256}, **own)
    with pytest.raises(DataError, match="label_map has True"):
        label_table("here", label_map={"car": True}, **own)
    with pytest.raises(DataError, match="two things about label 1: 'truck' and '1'"):
        label_table("here", label_map={"truck": 0, "1": 0}, **own)


def test_other_labels_are_another_data_set(tmp_path: Path) -> None:
    pair(tmp_path, "train/a.png", "trainannot/a.png")
    own: dict[str, Any] = {"root": str(tmp_path), "classes": ["x", "y"]}
    maps: list[dict[str, Any]] = [{}, {"reduce_zero_label": True}, {"label_map": {"1": 0}}, {"label_map": {"1": None}}]
    assert len({FolderSegmentation("train", **own, **each).digest() for each in maps}) == 4
    assert FolderSegmentation("train", **own, label_map={"1": 1}).digest() == FolderSegmentation("train", **own).digest()


def test_void_of_reduced_labels_is_that_of_the_experiment_and_a_wrong_map_is_told_before_it(tmp_path: Path) -> None:
    for split in ("train", "val"):
        pair(tmp_path, f"img_dir/{split}/0.png", f"ann_dir/{split}/0.png", [0, 1, 2, 3] * 8)
    dataset = {"type": "folders", "layout": "potsdam", "root": str(tmp_path)}
    config = ExperimentConfig.from_dict({"data": {"dataset": dataset, "ignore_index": 9}})
    assert np.unique(open_split(config, "val")[0][0].mask).tolist() == [0, 1, 2, 9]
    with pytest.raises(ConfigError, match=r"data\.dataset: .* label_map has 'ship'"):
        open_split(config.with_({"data.dataset.label_map": {"ship": None}}), "val")


def mmseg() -> Path:
    """The package's sources, which need not be installed: the directory may be given."""
    found = find_spec("mmseg")
    given = os.environ.get("RAYSEG_MMSEG") or (found and found.origin and str(Path(found.origin).parent))
    if not given:
        pytest.skip("mmsegmentation 1.2.2 is not installed; RAYSEG_MMSEG names the directory of its package")
    return Path(given)


def test_names_and_colours_are_those_of_the_package_that_they_were_generated_from() -> None:
    package, generated = mmseg(), Path(__file__).parents[2] / "rayseg" / "data" / "classes.json"
    assert text_of(package) == generated.read_text(encoding="utf-8")


@pytest.mark.parametrize("layout", SOURCES)
def test_suffixes_and_reduction_are_the_packages_defaults(layout: LayoutName) -> None:
    package, ours = mmseg(), LAYOUTS[layout]
    theirs = defaults_of(package, layout)
    assert {name: list(colour) for name, colour in colours_of(layout).items()} == classes_of(package, layout)
    assert (ours.image_suffix, ours.mask_suffix) == (theirs["img_suffix"], theirs["seg_map_suffix"])
    if layout != "coco_stuff10k":  # its config file says so, for one class of both
        assert ours.reduce_zero_label == theirs.get("reduce_zero_label", False)
