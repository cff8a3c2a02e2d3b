"""Data sets of torchvision: their own pixels and labels, with our names, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torchvision.datasets import Cityscapes

from rayseg.build.data import open_split
from rayseg.config import ExperimentConfig
from rayseg.data import TorchvisionSegmentation, check_sample
from rayseg.data._layouts import colours_of
from rayseg.errors import ConfigError, DataError

Array = NDArray[np.uint8]
LABELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.fixture
def image() -> Array:
    return np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.fixture
def put(tmp_path: Path, to_png: Callable[[Array], bytes]) -> Callable[[str, Array], None]:
    def write(place: str, pixels: Array) -> None:
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(to_png(pixels))

    return write


def voc(tmp_path: Path, put: Callable[[str, Array], None], image: Array, mask: Array) -> TorchvisionSegmentation:
    base = "VOCdevkit/VOC2012"
    put(f"{base}/JPEGImages/a.jpg", image)
    put(f"{base}/SegmentationClass/a.png", mask)
    listing = tmp_path / base / "ImageSets" / "Segmentation" / "val.txt"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text("a\n")
    return TorchvisionSegmentation("val", dataset="VOCSegmentation", root=str(tmp_path))


def test_voc_is_read_with_its_classes(tmp_path: Path, put: Callable[[str, Array], None], image: Array) -> None:
    mask = np.where(LABELS < 21, LABELS, 255).astype(np.uint8)
    data = voc(tmp_path, put, image, mask)
    assert np.array_equal(data[0].image, image)
    assert np.array_equal(data[0].mask, mask)
    assert data[0].name.endswith("JPEGImages/a.jpg")
    assert data.class_names == tuple(colours_of("pascal_voc"))
    assert data.palette == tuple(colours_of("pascal_voc").values())
    check_sample(data[0], 21, 255)
    with pytest.raises(IndexError, match="no image 1; there are 1"):
        data[1]


def test_the_digest_is_of_the_files(
    tmp_path: Path, put: Callable[[str, Array], None], image: Array, to_png: Callable[[Array], bytes]
) -> None:
    mask = np.zeros((16, 16), np.uint8)
    first = voc(tmp_path, put, image, mask)
    digest = first.digest()
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert TorchvisionSegmentation("val", dataset="VOCSegmentation", root=str(moved)).digest() == digest
    (moved / "VOCdevkit/VOC2012/SegmentationClass/a.png").write_bytes(to_png(mask + 1))
    assert TorchvisionSegmentation("val", dataset="VOCSegmentation", root=str(moved)).digest() != digest


def test_the_boundaries_set_is_read_as_segmentation(tmp_path: Path, put: Callable[[str, Array], None], image: Array) -> None:
    from scipy.io import savemat

    put("img/a.jpg", image)
    (tmp_path / "cls").mkdir()
    mask = (LABELS % 21).astype(np.uint8)
    savemat(tmp_path / "cls" / "a.mat", {"GTcls": {"Segmentation": mask}})
    (tmp_path / "train.txt").write_text("a\n")
    data = TorchvisionSegmentation("train", dataset="SBDataset", root=str(tmp_path))
    assert np.array_equal(data[0].mask, mask)
    assert len(data.class_names) == 21


def test_label_ids_of_cityscapes_become_train_ids(tmp_path: Path, put: Callable[[str, Array], None], image: Array) -> None:
    put("leftImg8bit/val/ulm/a_leftImg8bit.png", image)
    put("gtFine/val/ulm/a_gtFine_labelIds.png", LABELS)
    own: dict[str, Any] = {"dataset": "Cityscapes", "root": str(tmp_path)}
    data = TorchvisionSegmentation("val", **own)
    expected = {each.id: each.train_id for each in Cityscapes.classes if each.train_id not in {-1, 255}}
    assert data[0].mask.ravel().tolist() == [expected.get(label, 255) for label in range(256)]
    names = {each.train_id: each.name for each in Cityscapes.classes}
    assert data.class_names == tuple(names[label] for label in range(19))
    other = TorchvisionSegmentation("val", ignore_index=99, **own)
    assert other[0].mask.ravel().tolist() == [expected.get(label, 99) for label in range(256)]
    merged = TorchvisionSegmentation("val", classes=("flat", "rest"), label_map=_two_classes(), **own)
    assert np.unique(merged[0].mask).tolist() == [0, 1, 255]
    mapped = TorchvisionSegmentation("val", classes=("flat", "rest"), label_map=_two_classes(), ignore_index=99, **own)
    assert np.unique(mapped[0].mask).tolist() == [0, 1, 99]


def _two_classes() -> dict[str, str | int | None]:
    return {name: "flat" if name in {"road", "sidewalk"} else "rest" for name in colours_of("cityscapes")}


def test_a_class_of_ones_own_is_named_by_its_import_path(folder_root: Path, scenes: list[tuple[Array, Array]]) -> None:
    own: dict[str, Any] = {"dataset": "tests.data.pictures:Pairs", "root": str(folder_root), "classes": ["a", "b", "c"]}
    data = TorchvisionSegmentation("train", **own)
    for index, (image, mask) in enumerate(scenes):
        assert np.array_equal(data[index].image, image)
        assert np.array_equal(data[index].mask, mask)
    reduced = TorchvisionSegmentation("train", reduce_zero_label=True, **own)
    assert np.array_equal(reduced[0].mask == 255, np.isin(scenes[0][1], [0, 255]))
    assert reduced.digest() != data.digest()


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"dataset": "VOCSegmentations"}, "torchvision.datasets has no 'VOCSegmentations'; known here: VOCSegmentation"),
        ({"dataset": "no_such_module:X"}, "no_such_module cannot be imported"),
        ({"dataset": "VOCSegmentation", "options": {"yaer": "2012"}}, "options has yaer; it takes year, download"),
        ({"dataset": "VOCSegmentation", "options": {"transform": "x"}}, "transforms belong to data.transforms"),
        ({"dataset": "VOCSegmentation"}, "Dataset not found or corrupted"),
        ({"dataset": "CIFAR10", "classes": ["a"]}, "takes neither image_set nor split"),
        ({"dataset": "OxfordIIITPet"}, "no class names; give classes"),
        ({"dataset": "VOCSegmentation", "label_map": {"lorry": 0}}, "label_map has 'lorry'"),
    ],
)
def test_what_cannot_be_is_told_before_a_run(tmp_path: Path, own: dict[str, Any], says: str) -> None:
    config = ExperimentConfig.from_dict({"data": {"dataset": {"type": "torchvision", "root": str(tmp_path), **own}}})
    with pytest.raises(ConfigError) as caught:
        open_split(config, "train")
    assert says in str(caught.value)


def test_a_colour_picture_is_no_mask(tmp_path: Path, put: Callable[[str, Array], None], image: Array) -> None:
    put("leftImg8bit/val/ulm/a_leftImg8bit.png", image)
    put("gtFine/val/ulm/a_gtFine_color.png", image)
    data = TorchvisionSegmentation("val", dataset="Cityscapes", root=str(tmp_path), options={"target_type": "color"})
    with pytest.raises(DataError, match="mask is mode RGB; expected a PIL picture of class indices"):
        data[0]
