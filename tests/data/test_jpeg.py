"""Parts of a JPEG are those of the whole as Pillow decodes it, to the bit; what is not of the common kind is left to Pillow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from rayseg.data import (
    ArrowSegmentation,
    ConcatSegmentation,
    FolderSegmentation,
    ParquetSegmentation,
    View,
    convert_split,
    count_labels,
    picture_of,
)
from rayseg.data._decode import decode_mask, encode_png
from rayseg.data._jpeg import jpeg_places, jpeg_region, jpeg_size
from rayseg.data._masks import packed
from rayseg.data.picture import Encoded, encoded_picture
from rayseg.errors import DataError
from rayseg.types import Sample

Array = NDArray[np.uint8]


def needs_compiler() -> None:
    if jpeg_size(jpeg(8, 8)) is None:
        pytest.skip("no C++ compiler")


def scene(height: int, width: int, seed: int = 0) -> Array:
    """Smooth, with noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (2 + height // 9, 2 + width // 9, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + rng.integers(-25, 26, smooth.shape), 0, 255).astype(np.uint8)


def jpeg(height: int, width: int, seed: int = 0, mode: str = "RGB", **own: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(scene(height, width, seed)).convert(mode).save(file, "JPEG", **own)
    return file.getvalue()


def decoded(data: bytes) -> Array:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


SIDES = st.integers(1, 90)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(SIDES, SIDES),
    subsampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    quality=st.integers(3, 100),
    restarts=st.integers(0, 5),
    mode=st.sampled_from(["RGB", "RGB", "L"]),
    data=st.data(),
)
def test_a_region_is_that_of_the_whole_image(
    size: tuple[int, int], subsampling: str, quality: int, restarts: int, mode: str, data: st.DataObject
) -> None:
    needs_compiler()
    own: dict[str, Any] = {"subsampling": subsampling, "quality": quality, "restart_marker_blocks": restarts}
    file = jpeg(*size, seed=quality, mode=mode, **own)
    assume(jpeg_size(file) == size)  # not up to four columns with half of the chroma
    top, left = (data.draw(st.integers(0, side - 1)) for side in size)
    bottom, right = (data.draw(st.integers(start + 1, side)) for start, side in zip((top, left), size, strict=True))
    expected = decoded(file)[top:bottom, left:right]
    for places in (None, jpeg_places(file)):
        found = jpeg_region(file, places, (top, bottom, left, right))
        assert found is not None
        assert np.array_equal(found, expected)


def test_what_is_not_of_the_common_kind_is_left_to_pillow() -> None:
    cmyk = io.BytesIO()
    Image.fromarray(scene(20, 30)).convert("CMYK").save(cmyk, "JPEG")
    others = [jpeg(20, 30, progressive=True), cmyk.getvalue(), encode_png(scene(9, 9)), b"", b"\xff\xd8", jpeg(20, 30)[:100]]
    for data in others:
        assert jpeg_size(data) is None
        assert jpeg_places(data) is None
    narrow = jpeg(20, 3, subsampling="4:2:0")
    assert jpeg_size(narrow) is None


def test_a_damaged_jpeg_gives_nothing_and_never_reads_beyond_its_end() -> None:
    needs_compiler()
    whole = jpeg(64, 80)
    rng = np.random.default_rng(0)
    assert jpeg_region(whole[: len(whole) // 2], None, (0, 64, 0, 80)) is None
    assert jpeg_places(whole[: len(whole) // 2]) is None
    for _ in range(300):
        spoiled = bytearray(whole[: int(rng.integers(30, len(whole)))])
        for place in rng.integers(2, len(spoiled), 6):
            spoiled[place] = rng.integers(256)
        size = jpeg_size(bytes(spoiled))
        if size is not None and size[0] * size[1] < 10**6:
            jpeg_region(bytes(spoiled), jpeg_places(bytes(spoiled)), (0, size[0], 0, size[1]))
            jpeg_region(bytes(spoiled), jpeg_places(whole), (size[0] // 2, size[0], 0, size[1]))


def tables(data: bytes) -> list[int]:
    """Where the counts of the codes of each Huffman table are."""
    places, at = [], 2
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == 0xC4:
            first = at + 5
            while first < at + 2 + length:
                places.append(first)
                first += 17 + sum(data[first : first + 16])
        at += 2 + length
    return places


def test_just_the_tables_of_codes_that_pillow_refuses_are_left_to_it() -> None:
    needs_compiler()
    whole = jpeg(24, 40)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        spoiled = bytearray(whole)
        at = int(rng.choice(tables(whole)))
        lengths = [length for length in range(16) if whole[at + length]]
        if rng.random() < 0.8:  # as many codes, of other lengths
            spoiled[at + int(rng.choice(lengths))] -= 1
            spoiled[at + int(rng.integers(16))] += 1
        else:
            spoiled[at + 16 + int(rng.integers(sum(whole[at : at + 16])))] = rng.integers(256)
        try:
            decoded(bytes(spoiled))
        except OSError:
            refused += 1
            assert jpeg_size(bytes(spoiled)) is None
        else:
            assert jpeg_size(bytes(spoiled)) == (24, 40)
    assert 20 < refused < 130


@pytest.mark.parametrize(
    ("mode", "marker", "at", "value"),
    [("RGB", 0xC0, 12, 4), ("RGB", 0xC0, 18, 5), ("L", 0xC0, 11, 0x51), ("L", 0xC0, 11, 0x10), ("RGB", 0xE0, 1, 0x02)],
    ids=["a table of steps", "that of another component", "five blocks across", "none down", "a part that nobody knows"],
)
def test_a_number_in_the_header_that_pillow_refuses_is_left_to_it(mode: str, marker: int, at: int, value: int) -> None:
    needs_compiler()
    whole = jpeg(24, 40, mode=mode)
    assert jpeg_size(whole) == (24, 40)
    spoiled = bytearray(whole)
    spoiled[whole.index(bytes([0xFF, marker])) + at] = value
    with pytest.raises(OSError, match="image"):
        decoded(bytes(spoiled))
    assert jpeg_size(bytes(spoiled)) is None


def test_a_size_that_the_file_cannot_hold_and_one_that_pillow_refuses_are_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_compiler()
    whole = jpeg(16, 24)
    at = whole.index(b"\xff\xc0") + 5
    vast = whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]
    with pytest.raises(DataError, match="decompression bomb"):
        encoded_picture(vast, np.broadcast_to(np.uint8(0), (65535, 65535)), "a.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert jpeg_size(vast) is None
    assert jpeg_places(vast) is None
    flat = io.BytesIO()
    Image.new("L", (800, 800)).save(flat, "JPEG", optimize=True)  # of few bits: two for each block
    assert jpeg_size(flat.getvalue()) == (800, 800)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 191)
    assert jpeg_size(whole) is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 192)
    assert jpeg_size(whole) == (16, 24)


def streets(root: Path) -> FolderSegmentation:
    """A data set of three JPEGs."""
    rng = np.random.default_rng(0)
    for folder in ("train", "trainannot"):
        (root / folder).mkdir(parents=True)
    for index in range(3):
        (root / "train" / f"{index}.jpg").write_bytes(jpeg(50, 70, index, quality=90))
        mask = rng.integers(0, 3, (50, 70), dtype=np.uint8)
        (root / "trainannot" / f"{index}.png").write_bytes(encode_png(mask))
    return FolderSegmentation("train", root=str(root), classes=["a", "b", "c"], image_suffix=".jpg")


def test_every_form_gives_pictures_that_are_its_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_compiler()
    monkeypatch.setenv("RAYSEG_CACHE", str(tmp_path / "cache"))
    folders = streets(tmp_path / "folders")
    for form in ("arrow", "parquet"):
        convert_split(folders, "train", tmp_path / form, form=form)
    arrow, parquet = (
        ArrowSegmentation("train", path=str(tmp_path / "arrow")),
        ParquetSegmentation("train", path=str(tmp_path / "parquet")),
    )
    for dataset in (folders, arrow, parquet):
        picture, sample = picture_of(dataset, 1), dataset[1]
        assert isinstance(picture, Encoded)
        assert (picture.places is None) == (dataset is folders)
        found = View.of(picture).cropped(11, 13, 20, 30).sample()
        assert np.array_equal(found.image, sample.image[11:31, 13:43])
        assert np.array_equal(found.mask, sample.mask[11:31, 13:43])
        assert found.name == sample.name


def relabelled(sample: Sample) -> Sample:
    return Sample(255 - sample.image, 2 - sample.mask, sample.name)


class Inherited(FolderSegmentation):
    """Samples of its own; the shorter ways are those to others."""

    def __getitem__(self, index: int) -> Sample:
        return relabelled(super().__getitem__(index))


class HandedOn:
    """What it has not itself, it has from a data set."""

    def __init__(self, dataset: FolderSegmentation) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_dataset"], name)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sample:
        return relabelled(self._dataset[index])


@pytest.mark.parametrize("way", ["inherited", "handed on", "joined"])
def test_a_data_set_of_ones_own_is_trained_on_counted_and_kept_as_its_samples_are(way: str, tmp_path: Path) -> None:
    folders = streets(tmp_path / "folders")
    classes = {"classes": ["a", "b", "c"], "image_suffix": ".jpg"}
    inherited = Inherited("train", root=str(folders.root), **classes)  # type: ignore[arg-type]
    own: Any = inherited if way == "inherited" else HandedOn(folders)
    if way == "joined":
        own = ConcatSegmentation("train", parts={"a": lambda _: inherited})
    expected, trained = own[1], View.of(picture_of(own, 1)).sample()
    assert np.array_equal(trained.image, 255 - folders[1].image)
    assert np.array_equal(trained.mask, 2 - folders[1].mask)
    counts = count_labels(own, num_classes=3, ignore_index=255, cache_dir=tmp_path, num_workers=0)
    assert counts.pixels == tuple(int(sum((own[index].mask == label).sum() for index in range(3))) for label in range(3))
    convert_split(own, "train", tmp_path / "kept", form="arrow", num_workers=0)
    assert np.array_equal(ArrowSegmentation("train", path=str(tmp_path / "kept"))[1].image, expected.image)


def test_places_of_another_file_are_not_used() -> None:
    needs_compiler()
    file, region = jpeg(64, 80), (40, 64, 30, 80)
    found = jpeg_region(file, jpeg_places(jpeg(16, 80)), region)
    assert found is not None
    assert np.array_equal(found, decoded(file)[40:64, 30:80])
    assert jpeg_region(jpeg(16, 80), None, region) is None


def test_a_place_that_is_damaged_moves_by_bits_of_a_byte_alone() -> None:
    needs_compiler()
    file, region = jpeg(64, 80), (40, 64, 30, 80)
    places = np.frombuffer(jpeg_places(file) or b"", np.uint16).copy()
    places[5::6] += 1 << 12
    found = jpeg_region(file, places.tobytes(), region)
    assert found is not None
    assert np.array_equal(found, decoded(file)[40:64, 30:80])


def test_arrow_says_its_version_and_older_files_are_read(tmp_path: Path) -> None:
    folders = streets(tmp_path / "folders")
    (file,) = convert_split(folders, "train", tmp_path / "new", form="arrow").files
    table = pa.ipc.open_file(str(file)).read_all()
    assert table.schema.metadata[b"version"] == b"2"
    old = pa.table(
        {
            "name": table["name"],
            "image": table["image"],
            "mask": pa.array([encode_png(folders.mask(index)) for index in range(3)], pa.large_binary()),
        },
        metadata={b"classes": b'["a", "b", "c"]'},
    )
    (tmp_path / "old").mkdir()
    with pa.ipc.new_file(str(tmp_path / "old" / "train.arrow"), old.schema) as writer:
        writer.write_table(old)
    for path in ("new", "old"):
        dataset = ArrowSegmentation("train", path=str(tmp_path / path))
        assert np.array_equal(dataset[2].mask, folders[2].mask)
        assert np.array_equal(View.of(picture_of(dataset, 2)).sample().image, folders[2].image)


@given(height=SIDES, width=SIDES, seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_a_packed_mask_comes_back(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    assert np.array_equal(decode_mask(packed(mask[:, ::-1]), "a"), mask[:, ::-1])


def test_a_damaged_mask_is_told_with_its_name() -> None:
    data = packed(np.zeros((40, 50), np.uint8))
    for spoiled in (data[:-3], data[:12], data[:8] + b"\xff" * 4 + data[12:], data[:8] + b"\xff" * 8 + data[16:]):
        with pytest.raises(DataError, match=r"street7: mask of .* cannot be unpacked"):
            decode_mask(spoiled, "street7")


def test_a_jpeg_with_more_than_padding_before_a_restart_is_left_to_pillow() -> None:
    """Whether such a byte was read already depended on how far ahead codes are read."""
    needs_compiler()
    data = jpeg(24, 60, restart_marker_blocks=2)
    assert jpeg_region(data, None, (0, 24, 0, 60)) is not None
    at = data.index(b"\xff\xd0")
    damaged = data[:at] + b"\x12" + data[at:]
    assert jpeg_size(damaged) == (24, 60)
    assert jpeg_region(damaged, None, (0, 24, 0, 60)) is None
