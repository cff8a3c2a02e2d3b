"""What every dataset promises; decoding; the synthetic streets."""

from __future__ import annotations

import io
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from rayseg.data import DATASETS, ConcatSegmentation, Dataset, FolderSegmentation, SyntheticStreets, check_sample, convert_split
from rayseg.data._decode import decode_image, decode_mask
from rayseg.data.synthetic import _scene
from rayseg.errors import DataError
from rayseg.types import Sample

Array = NDArray[np.uint8]
Scenes = list[tuple[Array, Array]]
CLASSES = ("a", "b", "c")


@pytest.fixture(params=DATASETS)
def dataset(request: pytest.FixtureRequest, parquet_dir: Path, folder_root: Path, tmp_path: Path) -> Dataset:
    own: dict[str, dict[str, Any]] = {
        "synthetic": {"length": 4, "size": (32, 48)},
        "synthetic_vessels": {"length": 4, "size": (32, 48)},
        "parquet": {"path": str(parquet_dir), "classes": CLASSES, "cache": str(tmp_path / "cache")},
        "folders": {"root": str(folder_root), "classes": CLASSES},
        "arrow": {"path": str(tmp_path / "arrow")},
        "concat": {
            "parts": {name: partial(SyntheticStreets, length=2, size=(32, 48), seed=seed) for seed, name in enumerate("ab")}
        },
        "torchvision": {"root": str(folder_root), "dataset": "tests.data.pictures:Pairs", "classes": CLASSES},
    }
    if request.param == "arrow":
        folders = FolderSegmentation("train", root=str(folder_root), classes=CLASSES)
        convert_split(folders, "train", tmp_path / "arrow", form="arrow", images_per_file=2)
    return DATASETS[request.param]("train", **own[request.param])


# -- every dataset ----------------------------------------------------------------------------------------------------


def test_every_sample_is_what_the_contract_says(dataset: Dataset) -> None:
    for index in range(len(dataset)):
        sample = dataset[index]
        check_sample(sample, len(dataset.class_names), 255)
        assert sample.name
    assert dataset.palette is None or len(dataset.palette) == len(dataset.class_names)


def test_a_dataset_gives_the_same_sample_again_also_after_pickling(dataset: Dataset) -> None:
    first = dataset[1]
    for other in (dataset, pickle.loads(pickle.dumps(dataset))):
        assert np.array_equal(other[1].image, first.image)
        assert np.array_equal(other[1].mask, first.mask)
        assert other.digest() == dataset.digest()


def test_an_index_outside_is_an_index_error(dataset: Dataset) -> None:
    for index in (-1, len(dataset)):
        with pytest.raises(IndexError, match=f"no image {index}"):
            dataset[index]


# -- what every sample must satisfy -----------------------------------------------------------------------------------


def _blank(labels: list[list[int]]) -> Sample:
    mask = np.array(labels, np.uint8)
    return Sample(np.zeros((*mask.shape, 3), np.uint8), mask, "x.png")


def test_void_is_allowed_and_an_unknown_label_is_named_with_the_remedy() -> None:
    check_sample(_blank([[0, 1, 255]]), 2, 255)
    check_sample(_blank([[0, 1, 2]]), 2, 2)
    for no_label in (-1, 300):
        check_sample(_blank([[0, 1]]), 2, no_label)
        with pytest.raises(DataError, match=f"mask has labels 255; expected 0..1, or {no_label} for void"):
            check_sample(_blank([[0, 255]]), 2, no_label)
    with pytest.raises(DataError, match=r"x\.png: mask has labels 2, 7; expected 0\.\.1, or 255 .*ignore_index"):
        check_sample(_blank([[0, 2, 7, 255]]), 2, 255)


def test_image_and_mask_must_fit_together() -> None:
    image, mask = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    with pytest.raises(DataError, match=r"image is 4x6 px and mask 2x6 px"):
        check_sample(Sample(image, mask[:2], "x"), 2, 255)
    with pytest.raises(DataError, match=r"mask is int64"):
        check_sample(Sample(image, mask.astype(np.int64), "x"), 2, 255)
    with pytest.raises(DataError, match=r"image is float32"):
        check_sample(Sample(image.astype(np.float32), mask, "x"), 2, 255)
    with pytest.raises(DataError, match="no pixels"):
        check_sample(Sample(image[:0], mask[:0], "x"), 2, 255)


# -- decoding ---------------------------------------------------------------------------------------------------------


def _encoded(image: Image.Image, **own: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **own)
    return file.getvalue()


def test_a_palette_mask_stays_indices() -> None:
    image = Image.fromarray(np.array([[0, 3, 11]], np.uint8))
    image.putpalette(list(range(255, -1, -1)) * 3)
    assert decode_mask(_encoded(image), "m").tolist() == [[0, 3, 11]]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_levels_of_few_bits_are_not_stretched(bits: int) -> None:
    labels = np.arange(2**bits, dtype=np.uint8)
    packed = np.packbits((labels[:, None] >> np.arange(bits - 1, -1, -1) & 1).ravel()).tobytes()
    assert decode_mask(_grey_png(len(labels), bits, packed), "m").tolist() == [labels.tolist()]


def _grey_png(width: int, bits: int, row: bytes) -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, 1, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")


def test_a_grey_image_becomes_three_channels_and_a_colour_mask_is_refused() -> None:
    grey = np.array([[1, 200]], np.uint8)
    assert decode_image(_encoded(Image.fromarray(grey)), "i").tolist() == [[[1] * 3, [200] * 3]]
    with pytest.raises(DataError, match=r"m\.png: mask has mode RGB"):
        decode_mask(_encoded(Image.fromarray(np.zeros((2, 2, 3), np.uint8))), "m.png")
    with pytest.raises(DataError, match=r"i\.png: image has mode I;16"):
        decode_image(_encoded(Image.fromarray(np.zeros((2, 2), np.uint16))), "i.png")


def test_a_damaged_file_is_named() -> None:
    whole = _encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)))
    file = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(file, "JPEG")
    for data in (b"", b"not a picture", whole[: len(whole) // 2], file.getvalue()[:400]):
        with pytest.raises(DataError, match=r"bad\.jpg: image of \d+ bytes cannot be decoded"):
            decode_image(data, "bad.jpg")


# -- synthetic --------------------------------------------------------------------------------------------------------


def test_classes_of_the_streets_are_as_frequent_as_published() -> None:
    streets = SyntheticStreets("train")
    counts = np.sum([np.bincount(streets[i].mask.ravel(), minlength=256) for i in range(150)], axis=0)
    percent = 100 * counts[:9] / counts[:9].sum()
    published = np.array([21.3, 17.1, 19.1, 15.4, 23.5, 1.97, 0.64, 0.80, 0.23])
    assert np.all(np.abs(percent / published - 1) < 0.2), percent
    assert 0.03 < counts[255] / counts.sum() < 0.12
    assert counts[9:255].sum() == 0


def test_a_street_depends_on_seed_split_and_index_alone() -> None:
    keys = [(0, "train", 0), (0, "train", 1), (0, "val", 0), (1, "train", 0)]
    images = [SyntheticStreets(split, seed=seed, length=9)[index].image.tobytes() for seed, split, index in keys]
    assert len(set(images)) == 4
    again = SyntheticStreets("train", length=500)
    again[1].image[:] = 0  # a scene that is remembered is nobody's to change
    assert images[1] == again[1].image.tobytes()
    _scene.cache_clear()
    assert images[1] == again[1].image.tobytes()


def test_streets_without_void_are_labelled_everywhere_and_void_can_have_any_label() -> None:
    assert SyntheticStreets("val", void=False)[0].mask.max() < 9
    assert 11 in SyntheticStreets("val", ignore_index=11)[0].mask
    assert 255 not in SyntheticStreets("val", ignore_index=11)[0].mask


@pytest.mark.parametrize("size", [(32, 32), (40, 400), (200, 48)])
def test_streets_of_any_shape_can_be_painted(size: tuple[int, int]) -> None:
    for index in range(4):
        check_sample(SyntheticStreets("test", size=size)[index], 9, 255)


def test_streets_that_cannot_be_are_refused() -> None:
    with pytest.raises(DataError, match="no split 'dev'; expected one of train, val, test"):
        SyntheticStreets("dev")
    with pytest.raises(DataError, match="length is 0; expected at least 1"):
        SyntheticStreets("train", length=0)
    with pytest.raises(DataError, match="each at least 32 px"):
        SyntheticStreets("train", size=(8, 64))


def test_a_digest_changes_with_whatever_changes_the_streets() -> None:
    plain = SyntheticStreets("train")
    others = [SyntheticStreets("val"), SyntheticStreets("train", seed=1), SyntheticStreets("train", size=(64, 64))]
    others += [SyntheticStreets("train", length=5), SyntheticStreets("train", void=False), SyntheticStreets("train", noise=2)]
    assert len({plain.digest(), *(other.digest() for other in others)}) == 7


# -- several data sets as one -------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_parts_come_one_after_the_other(lengths: list[int]) -> None:
    parts = {str(seed): partial(SyntheticStreets, length=n, size=(32, 32), seed=seed) for seed, n in enumerate(lengths)}
    whole = ConcatSegmentation("train", parts=parts)
    single = [part("train")[index].name for part in parts.values() for index in range(len(part("train")))]
    assert [whole[index].name for index in range(len(whole))] == single
    assert np.array_equal(whole.mask(len(whole) - 1), whole[len(whole) - 1].mask)
    assert whole.digest() != ConcatSegmentation("train", parts={**parts, "more": parts["0"]}).digest()


def test_a_part_belongs_to_the_splits_that_it_names() -> None:
    day, night = (partial(SyntheticStreets, length=length, size=(32, 32)) for length in (2, 3))
    sizes = {
        split: len(ConcatSegmentation(split, parts={"day": day, "night": night}, splits={"night": ["train"]}))
        for split in ("train", "val")
    }
    assert sizes == {"train": 5, "val": 2}
    with pytest.raises(DataError, match=r"concat val: no part belongs to this split \(parts: night\)"):
        ConcatSegmentation("val", parts={"night": night}, splits={"night": ["train"]})


def test_parts_with_other_classes_are_refused(folder_root: Path) -> None:
    parts = {name: partial(FolderSegmentation, root=str(folder_root), classes=list(name)) for name in ("abc", "acb")}
    with pytest.raises(DataError, match="the classes of acb are a, c, b; those of abc are a, b, c; expected the same names"):
        ConcatSegmentation("train", parts=parts)
