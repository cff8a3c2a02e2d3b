"""Where known data sets keep their files, and what their labels mean.

The directories are those that MMSegmentation's preparation leaves behind (docs/en/user_guides/2_dataset_prepare.md there);
``classes.json`` was made by ``tests/data/mmseg_classes.py`` of mmsegmentation 1.2.2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Literal

__all__ = ["LAYOUTS", "Layout", "LayoutName", "Part", "colours_of"]

LayoutName = Literal[
    "pairs",
    "ade20k",
    "camvid",
    "chase_db1",
    "cityscapes",
    "coco_stuff10k",
    "coco_stuff164k",
    "drive",
    "hrf",
    "isaid",
    "loveda",
    "mapillary_v1",
    "mapillary_v2",
    "pascal_context",
    "pascal_context_59",
    "pascal_voc",
    "pascal_voc_aug",
    "potsdam",
    "stare",
    "vaihingen",
]


@dataclass(frozen=True)
class Part:
    """Directories below the root, and the file that lists the images of a split; None: all that are there."""

    images: str
    masks: str
    listing: str | None = None


@dataclass(frozen=True)
class Layout:
    """One data set's files.

    Args:
        part: where a split lies; ``{split}`` stands for its name in the directories.
        image_suffix: end of the images' names.
        mask_suffix: end of the masks' names.
        splits: our name of a split -> its name in the directories, where they differ.
        more: split -> what belongs to it besides.
        reduce_zero_label: label 0 means: not labelled.
    """

    part: Part
    image_suffix: str = ".png"
    mask_suffix: str = ".png"
    splits: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Part] = field(default_factory=dict)
    reduce_zero_label: bool = False


_SPELT_OUT = {"train": "training", "val": "validation"}
_RETINA = Part("images/{split}", "annotations/{split}")
_AIR = Part("img_dir/{split}", "ann_dir/{split}")
_SEGNET = Part("{split}", "{split}annot")
_VOC = Part("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/{split}.txt")
_CONTEXT = Part("JPEGImages", "SegmentationClassContext", "ImageSets/SegmentationContext/{split}.txt")
_TRAIN_IDS = "_labelTrainIds.png"

LAYOUTS: Mapping[LayoutName, Layout] = {
    "pairs": Layout(_SEGNET),
    "ade20k": Layout(_RETINA, ".jpg", ".png", _SPELT_OUT, reduce_zero_label=True),
    "camvid": Layout(_SEGNET),
    "chase_db1": Layout(_RETINA, ".png", "_1stHO.png", _SPELT_OUT),
    "cityscapes": Layout(Part("leftImg8bit/{split}", "gtFine/{split}"), "_leftImg8bit.png", f"_gtFine{_TRAIN_IDS}"),
    "coco_stuff10k": Layout(_RETINA, ".jpg", _TRAIN_IDS, {"train": "train2014", "val": "test2014"}, reduce_zero_label=True),
    "coco_stuff164k": Layout(_RETINA, ".jpg", _TRAIN_IDS, {"train": "train2017", "val": "val2017"}),
    "drive": Layout(_RETINA, ".png", "_manual1.png", _SPELT_OUT),
    "hrf": Layout(_RETINA, ".png", ".png", _SPELT_OUT),
    "isaid": Layout(_AIR, ".png", "_instance_color_RGB.png"),
    "loveda": Layout(_AIR, reduce_zero_label=True),
    "mapillary_v1": Layout(Part("{split}/images", "{split}/v1.2/labels"), ".jpg", ".png", _SPELT_OUT),
    "mapillary_v2": Layout(Part("{split}/images", "{split}/v2.0/labels"), ".jpg", ".png", _SPELT_OUT),
    "pascal_context": Layout(_CONTEXT, ".jpg", ".png"),
    "pascal_context_59": Layout(_CONTEXT, ".jpg", ".png", reduce_zero_label=True),
    "pascal_voc": Layout(_VOC, ".jpg", ".png"),
    "pascal_voc_aug": Layout(
        _VOC,
        ".jpg",
        ".png",
        more={"train": Part("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation/aug.txt")},
    ),
    "potsdam": Layout(_AIR, reduce_zero_label=True),
    "stare": Layout(_RETINA, ".png", ".ah.png", _SPELT_OUT),
    "vaihingen": Layout(_AIR, reduce_zero_label=True),
}

#: SegNet's copy (Badrinarayanan et al. 2015), which MMSegmentation does not have.
_CAMVID = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}


def colours_of(layout: LayoutName) -> dict[str, tuple[int, int, int]]:
    """Class name -> RGB, in the order of the labels; ``pairs`` has none."""
    if layout == "camvid":
        return dict(_CAMVID)
    found = _generated().get(layout, {})
    if isinstance(found, str):
        return colours_of(found)
    return {name: (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)) for name, text in found.items()}


@cache
def _generated() -> dict[str, dict[str, str] | LayoutName]:
    """Layout -> name -> colour, or another layout that has the same."""
    text = files("rayseg.data").joinpath("classes.json").read_text(encoding="utf-8")
    parsed: dict[str, dict[str, str] | LayoutName] = json.loads(text)
    return parsed
