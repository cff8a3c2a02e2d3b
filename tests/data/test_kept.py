"""Decoded samples that are kept are those of the data set, to the bit, whoever keeps them; and nothing of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rayseg.data import (
    ArrowSegmentation,
    Dataset,
    FolderSegmentation,
    KeepingPlace,
    KeptSegmentation,
    ParquetSegmentation,
    RandomCrop,
    RandomFlip,
    RandomResize,
    SyntheticStreets,
    Transform,
    convert_split,
    eval_batches,
    keeping_place,
    train_batches,
)
from rayseg.errors import DataError
from rayseg.types import Sample

Array = NDArray[np.uint8]
NAMES = ("a", "b", "c")
PIXELS = {"num_classes": 9, "ignore_index": 255, "mean": (0.0, 0.0, 0.0), "std": (255.0, 255.0, 255.0)}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[KeepingPlace]:
    with keeping_place(tmp_path) as made:
        yield replace(made, reserve_bytes=0)


def of_kind(kind: str, root: Path, scenes: list[tuple[Array, Array]]) -> Dataset:
    if kind == "synthetic":
        return SyntheticStreets("train", length=4, size=(32, 40))
    for number, (image, mask) in enumerate(scenes):
        for folder, pixels, suffix in (("train", image, "jpg"), ("trainannot", mask, "png")):
            (root / folder).mkdir(parents=True, exist_ok=True)
            taller = pixels[: 12 - number % 2]  # of two sizes
            Image.fromarray(taller).save(root / folder / f"{number}.{suffix}")
    files = FolderSegmentation("train", root=str(root), classes=NAMES, image_suffix=".jpg", mask_suffix=".png")
    if kind == "folders":
        return files
    convert_split(files, "train", root / kind, form="arrow" if kind == "arrow" else "parquet")
    if kind == "arrow":
        return ArrowSegmentation("train", path=str(root / kind))
    return ParquetSegmentation("train", path=str(root / kind), cache=str(root / "cache"))


def kept_of(dataset: Dataset, place: KeepingPlace, key: str = "key") -> KeptSegmentation:
    return KeptSegmentation(dataset, place, key, num_classes=9, ignore_index=255)


def steps(dataset: Dataset, num_workers: int = 0, rank: int = 0, world_size: int = 1) -> list[tuple[bytes, bytes]]:
    chain: list[Transform] = [RandomResize(ratio_range=(0.7, 1.6)), RandomCrop(size=(8, 9)), RandomFlip()]
    stream = train_batches(
        dataset,
        chain,
        seed=3,
        batch_size=2,
        num_micro=1,
        start_step=0,
        stop_step=6,
        rank=rank,
        world_size=world_size,
        pad_size=(8, 9),
        num_workers=num_workers,
        **PIXELS,  # type: ignore[arg-type]
    )
    return [(micro.images.numpy().tobytes(), micro.masks.numpy().tobytes()) for step in stream for micro in step]


@pytest.mark.parametrize("kind", ["synthetic", "folders", "parquet", "arrow"])
def test_batches_are_the_same_to_the_bit(
    kind: str, tmp_path: Path, scenes: list[tuple[Array, Array]], place: KeepingPlace
) -> None:
    dataset = of_kind(kind, tmp_path / "data", scenes)
    kept = kept_of(dataset, place)
    expected = steps(dataset)
    assert steps(kept) == expected
    assert len(list(place.directory.iterdir())) == len(dataset)
    assert steps(kept_of(_Unread(dataset), place)) == expected  # another process or trial decodes nothing
    for rank in range(2):
        assert steps(kept, rank=rank, world_size=2) == steps(dataset, rank=rank, world_size=2)
    for index in range(len(dataset)):
        one, other = kept[index], dataset[index]
        assert one.name == other.name
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.mask, other.mask)
    scored = [
        [(batch.images.numpy().tobytes(), batch.masks.numpy().tobytes()) for batch, _ in each]
        for each in (eval_batches(way, rank=0, world_size=1, batch_size=2, **PIXELS) for way in (kept, dataset))  # type: ignore[arg-type]
    ]
    assert scored[0] == scored[1]


@dataclass(frozen=True)
class _Unread:
    """A data set that must not be asked for a sample."""

    dataset: Dataset
    class_names: tuple[str, ...] = NAMES
    palette: None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        raise AssertionError(f"sample {index} was decoded again")

    def digest(self) -> str:
        return self.dataset.digest()


def test_loading_processes_share_what_is_kept(place: KeepingPlace) -> None:
    streets = SyntheticStreets("train", length=4, size=(32, 40))
    assert steps(kept_of(streets, place), num_workers=2) == steps(streets)
    assert steps(kept_of(_Unread(streets), place)) == steps(streets)


def test_what_is_written_into_a_sample_is_not_kept(place: KeepingPlace) -> None:
    streets = SyntheticStreets("train", length=1, size=(32, 40))
    for _ in range(3):
        sample = kept_of(streets, place)[0]
        assert np.array_equal(sample.image, streets[0].image)
        assert np.array_equal(sample.mask, streets[0].mask)
        sample.image[:], sample.mask[:] = 7, 7


def test_a_sample_with_a_wrong_label_is_told_of_as_without(place: KeepingPlace) -> None:
    streets = SyntheticStreets("train", length=2, size=(32, 40))
    few = KeptSegmentation(streets, place, "few", num_classes=2, ignore_index=255)
    with pytest.raises(DataError, match=r"mask has labels .*; expected 0\.\.1"):
        list(eval_batches(few, rank=0, world_size=1, batch_size=1, **{**PIXELS, "num_classes": 2}))  # type: ignore[arg-type]
    assert not list(place.directory.iterdir())


def test_without_room_or_place_nothing_is_kept_and_everything_is_the_same(place: KeepingPlace) -> None:
    streets = SyntheticStreets("train", length=4, size=(32, 40))
    assert steps(kept_of(streets, replace(place, reserve_bytes=2**62))) == steps(streets)
    assert not list(place.directory.iterdir())
    kept = kept_of(streets, place)
    first = kept[0]
    mapped = kept[0]
    place.directory.rename(place.directory.with_name("away"))
    assert steps(kept) == steps(streets)
    assert not place.directory.exists()
    assert np.array_equal(mapped.image, first.image)
    place.directory.with_name("away").rename(place.directory)


def test_a_place_ends_with_its_owner_and_that_of_a_killed_one_with_the_next(tmp_path: Path) -> None:
    with keeping_place(tmp_path) as first:
        left = first.directory.with_name(f"{first.directory.name}-left")  # nobody holds its lock, as when its owner is killed
        left.mkdir()
        (left / "a").write_bytes(b"sample")
        with keeping_place(tmp_path) as second:
            assert {*tmp_path.iterdir()} == {first.directory, second.directory}
    assert not list(tmp_path.iterdir())


def _owner(folder: Path) -> subprocess.Popen[str]:
    program = (
        "import sys, time; from pathlib import Path; from rayseg.keeping import keeping_place\n"
        "with keeping_place(Path(sys.argv[1])) as place: print(place.directory, flush=True); time.sleep(60)"
    )
    return subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)


def test_what_a_killed_owner_has_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    with _owner(tmp_path) as owner:
        assert owner.stdout is not None
        theirs = Path(owner.stdout.readline().strip())
        (theirs / "a").write_bytes(b"sample")
        with keeping_place(tmp_path):
            assert (theirs / "a").is_file()
        os.kill(owner.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while theirs.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not list(tmp_path.iterdir())


def test_what_nobody_holds_is_removed_by_the_next_owner(tmp_path: Path) -> None:
    with keeping_place(tmp_path) as place:
        left = place.directory.with_name(place.directory.name + "x")
    left.mkdir()
    (left / "a").write_bytes(b"sample")
    with keeping_place(tmp_path) as ours:
        assert list(tmp_path.iterdir()) == [ours.directory]
