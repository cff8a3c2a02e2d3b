"""Data sets of MMSegmentation's configs: where they lie, which labels they have, several as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rayseg.build.data import open_split
from rayseg.compat import Translation, translate
from rayseg.config import ExperimentConfig

CITY = {"type": "CityscapesDataset", "data_root": "city", "img_dir": "leftImg8bit/train", "ann_dir": "gtFine/train"}
PIPELINE = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]


def old(train: Any, val: Any = None, **more: Any) -> Translation:
    return translate({"data": {"train": train, **({} if val is None else {"val": val})}, **more}, "a_4x2_b.py")


def carried(train: Any, val: Any = None) -> dict[str, Any]:
    found = old(train, val)
    assert [str(problem) for problem, _ in found.lost] == []
    ExperimentConfig.from_dict(found.tree)
    dataset: dict[str, Any] = found.tree["data"]["dataset"]
    return dataset


def own(name: str, **more: Any) -> dict[str, Any]:
    """A data set without a class of its own, as the tutorials write it."""
    places = {"img_dir": f"{name}/images", "ann_dir": f"{name}/masks", "img_suffix": ".png"}
    return {"type": "CustomDataset", "data_root": "data", **places, "classes": ("a", "b"), **more}


def written(root: Path, name: str, count: int, label: int = 1) -> None:
    for kind, level in (("images", 9), ("masks", label)):
        (root / name / kind).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            shape = (32, 32, 3) if kind == "images" else (32, 32)
            Image.fromarray(np.full(shape, level, np.uint8)).save(root / name / kind / f"{name}{index}.png")


def test_training_and_validation_may_lie_anywhere(tmp_path: Path) -> None:
    for name, count in (("day", 2), ("night", 3), ("dusk", 1)):
        written(tmp_path, name, count)
    root = {"data_root": str(tmp_path)}
    train = [own("day", **root), {"type": "RepeatDataset", "times": 5, "dataset": own("night", **root)}]
    found = old(train, own("dusk", **root))
    assert found.lost == ()
    config = ExperimentConfig.from_dict({"data": {"dataset": found.tree["data"]["dataset"]}})
    datasets = {split: open_split(config, split) for split in ("train", "val")}
    assert {split: (len(data), names) for split, (data, names) in datasets.items()} == {
        "train": (5, ("a", "b")),
        "val": (1, ("a", "b")),
    }
    assert Path(datasets["train"][0][2].name).name == "night0.png"


def test_directories_of_both_splits_become_one_pattern() -> None:
    places = {
        "type": "BaseSegDataset",
        "data_root": "data",
        "metainfo": {"classes": ("a", "b"), "palette": [[0, 0, 0], [9, 9, 9]]},
    }
    loaders = {
        f"{split}_dataloader": {
            "dataset": {
                **places,
                "data_prefix": {"img_path": f"img/{split}", "seg_map_path": f"ann/{split}"},
                "ann_file": f"lists/{split}.txt",
            }
        }
        for split in ("train", "val")
    }
    found = translate(loaders, "a_4xb2.py")
    assert found.lost == ()
    assert found.tree["data"]["dataset"] == {
        "type": "folders", "root": "data", "images": "img/{split}", "masks": "ann/{split}", "listing": "lists/{split}.txt",
        "image_suffix": ".jpg", "classes": ["a", "b"], "palette": [[0, 0, 0], [9, 9, 9]],
    }  # fmt: skip


def test_a_known_data_set_says_only_what_differs() -> None:
    val = {**CITY, "img_dir": "leftImg8bit/val", "ann_dir": "gtFine/val"}
    assert carried(CITY, val) == {"type": "folders", "layout": "cityscapes", "root": "city"}
    coarse = (
        {**each, "ann_dir": f"gtCoarse/{split}", "seg_map_suffix": "_ids.png"}
        for split, each in (("train", CITY), ("val", val))
    )
    assert carried(*coarse) == {
        "type": "folders", "layout": "cityscapes", "root": "city", "masks": "gtCoarse/{split}", "mask_suffix": "_ids.png"
    }  # fmt: skip
    some = carried({**CITY, "classes": ("car", "road")}, {**val, "classes": ("car", "road")})
    assert some["classes"] == ["car", "road"]
    assert (some["label_map"]["car"], some["label_map"]["sky"]) == ("car", None)
    ade = {"type": "ADE20KDataset", "data_root": "ade", "img_dir": "images/training", "ann_dir": "annotations/training"}
    assert carried({**ade, "reduce_zero_label": False})["reduce_zero_label"] is False


def test_lists_of_directories_and_files_are_one_after_the_other() -> None:
    voc = {"type": "PascalVOCDataset", "data_root": "voc", "img_dir": "JPEGImages"}
    lists = [f"ImageSets/Segmentation/{name}.txt" for name in ("train", "aug")]
    several = {**voc, "ann_dir": ["SegmentationClass", "SegmentationClassAug"], "split": lists}
    assert carried(several)["layout"] == "pascal_voc_aug"
    found = carried(own("all", split=["one.txt", "two.txt"]), own("all", split="three.txt"))
    assert [(part["listing"], part["splits"]) for part in found["parts"].values()] == [
        ("one.txt", ["train"]), ("two.txt", ["train"]), ("three.txt", ["val"]),
    ]  # fmt: skip
    joined = translate(
        {"train_dataloader": {"dataset": {"type": "ConcatDataset", "datasets": [{**CITY}, {**CITY, "data_root": "other"}]}}},
        "a",
    )
    assert [part["root"] for part in joined.tree["data"]["dataset"]["parts"].values()] == ["city", "other"]
    assert any("validation has no data here" in note for note in joined.notes)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"type": "MultiImageMixDataset", "dataset": CITY, "pipeline": []},
            "MultiImageMixDataset around a data set is not carried",
        ),
        ({**CITY, "type": "MyDataset"}, "MyDataset with its images in city/leftImg8bit/train is not carried"),
        (own("a", classes=None), "CustomDataset with its images in data/a/images is not carried"),
        (own("a", ignore_index=0), "is that of all data here; write data.ignore_index"),
        (own("a", indices=9), "data.train.indices: nothing here stands for it"),
        ([{**CITY, "pipeline": PIPELINE}, {**CITY, "pipeline": PIPELINE[:1]}], "differs from that of another data set"),
    ],
)
def test_data_sets_that_cannot_be_carried_are_said(train: Any, message: str) -> None:
    found = old(train)
    assert message in "\n".join(str(problem) for problem, _ in found.lost)
    assert found.lost[0][1] in {"data.dataset", "data.transforms", "data.ignore_index"}


def test_repeated_data_make_longer_epochs_which_is_said() -> None:
    repeated = {"type": "RepeatDataset", "times": 40, "dataset": CITY}
    found = old(repeated, runner={"type": "EpochBasedRunner", "max_epochs": 3})
    assert "40 passes are one epoch there" in str(found.lost[0][0])
    assert old(repeated, runner={"type": "IterBasedRunner", "max_iters": 3}).lost == ()
