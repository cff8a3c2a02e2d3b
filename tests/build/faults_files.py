"""What is wrong with data and files, and what is said about each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rayseg.data import permutation
from rayseg.errors import DataError, NonFiniteLossError
from tests.build.small import folders
from tests.build.wrong import Wrong, loss

LAST = int(permutation(0, 0, 12)[-1])


def corrupt_jpeg(root: Path) -> dict[str, Any]:
    config = folders(root / "data")
    (root / "data" / "train" / f"{LAST:02}.jpg").write_bytes(b"\xff\xd8\xff\xe0 this was an image")
    return {**config, "train.steps": 6}


def masked(number: int, size: tuple[int, int], label: int) -> Callable[[Path], dict[str, Any]]:
    """A training set with one mask of this size and label."""

    def write(root: Path) -> dict[str, Any]:
        config = folders(root / "data")
        Image.fromarray(np.full(size, label, np.uint8)).save(root / "data" / "trainannot" / f"{number:02}.png")
        return {**config, "train.steps": 6}

    return write


def no_files(root: Path) -> dict[str, Any]:
    return folders(root / "data", sizes=())


def storage_below_a_file(root: Path) -> dict[str, Any]:
    (root / "notes").write_text("not a directory")
    return {"tracking.storage": str(root / "notes" / "runs")}


def labelled(**own: Any) -> Callable[[Path], dict[str, Any]]:
    """Folders with more to say about their labels or their files."""

    def write(root: Path) -> dict[str, Any]:
        config = folders(root / "data")
        return {"data.dataset": {**config["data.dataset"], **own}}

    return write


MISSING = "torchvision_lraspp_mobilenet_v3_large"
FILES = [
    Wrong(
        "no Parquet file",
        lambda root: {"data.dataset": {"type": "parquet", "path": f"{root}/x.parquet"}},
        "data.dataset",
        ("no file", "x.parquet"),
    ),
    Wrong(
        "no folder",
        lambda root: {"data.dataset": {"type": "folders", "root": f"{root}/x", "layout": "camvid"}},
        "data.dataset",
        ("no directory", "set root"),
    ),
    Wrong(
        "a layout that there is not",
        labelled(layout="cityscape"),
        "data.dataset.layout",
        ("'cityscape'",),
    ),
    Wrong(
        "a label map to a class that there is not",
        labelled(label_map={"1": "truck"}),
        "data.dataset",
        ("label_map has 'truck'", "one of the classes: road, car"),
    ),
    Wrong(
        "a listing that is not there",
        labelled(listing="{split}.txt"),
        "data.dataset",
        ("train.txt cannot be read", "set listing"),
    ),
    Wrong("no split of this name", {"data.val_split": "valid"}, "data.val_split", ("no split 'valid'", "train, val, test")),
    Wrong(
        "no weights",
        {"model": {"type": MISSING, "pretrained_backbone": "weights.pth"}},
        "model",
        ("'weights.pth' is neither a file",),
    ),
    Wrong("no images", no_files, "data.dataset", ("no file *.jpg in", "set image_suffix")),
    Wrong("a data set of length 0", {"data.dataset": {"type": "nothing"}}, "data.dataset", ("split 'train' has no images",)),
    Wrong("a label out of range", masked(0, (32, 32), 7), "data.train_split", ("train/00.jpg", "labels 7; expected 0..1")),
    Wrong(
        "a mask of another size",
        masked(0, (32, 16), 1),
        "data.train_split",
        ("train/00.jpg", "32x32 px and mask 32x16", "export the mask"),
    ),
    Wrong(
        "images of several sizes",
        lambda root: folders(root, sizes=[(32, 32), (32, 48)] * 4),
        "data.pad_size",
        ("32x32, 32x48", "add a random_crop"),
    ),
    Wrong(
        "images larger than the padding",
        lambda root: {**folders(root, sizes=[(32, 32), (32, 48)] * 4), "data.pad_size": [40, 40]},
        "data.pad_size",
        ("40x40, 40x48",),
    ),
    Wrong(
        "a transform that fails",
        {"data.transforms.x": {"type": "broken_transform"}},
        "data.transforms.x",
        ("raised KeyError: 'gamma'",),
    ),
    Wrong(
        "more data than memory to keep them in",
        {"data.cache": True, "data.dataset.size": [256, 256], "data.dataset.length": 2 * 10**6},
        "data.cache",
        ("GiB decoded", "may take", "write auto"),
    ),
    Wrong(
        "affine colours where none change",
        {"data.colours": "affine", "data.transforms.flip": {"type": "random_flip"}},
        "data.colours",
        ("affine", "no transform changes colours (flip)", "photometric"),
    ),
    Wrong(
        "affine colours before pixels are needed",
        {
            "data.colours": "affine",
            "data.transforms": {
                "colour": {"type": "photometric"},
                "resize": {"type": "random_resize", "ratio_range": [0.9, 1.1]},
                "crop": {"type": "random_crop", "size": [16, 16]},
            },
        },
        "data.transforms.resize",
        ("needs pixels", "colour", "before"),
    ),
    Wrong("data that are kept by a size", {"data.cache": 8}, "data.cache", ("8",)),
    Wrong("storage that is a file", storage_below_a_file, "tracking.storage", ("notes is a file", "expected a directory")),
    Wrong("a corrupt JPEG", corrupt_jpeg, "", (".jpg", "cannot be decoded"), DataError),
    Wrong("a late label out of range", masked(LAST, (32, 32), 7), "", (".jpg", "labels 7; expected 0..1"), DataError),
    Wrong(
        "a loss that becomes NaN",
        {**loss("late_nan"), "train.steps": 6},
        "",
        ("the loss is not finite", "Lower optim.lr"),
        NonFiniteLossError,
    ),
]
