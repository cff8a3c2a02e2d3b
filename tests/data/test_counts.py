"""Labels are counted once: by any number of processes, remembered beside the data, never torn."""

from __future__ import annotations

import io
import itertools
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rayseg.data import (
    ConcatSegmentation,
    Dataset,
    FolderSegmentation,
    LabelCounts,
    ParquetSegmentation,
    Progress,
    SyntheticStreets,
    count_labels,
)
from rayseg.data._workers import default_workers
from rayseg.types import Sample

CLASSES = ("road", "car", "sky")


def write(root: Path, number: int, mask: NDArray[np.uint8]) -> None:
    for folder, pixels in (("train", np.zeros((*mask.shape, 3), np.uint8)), ("trainannot", mask)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / folder / f"{number:02}.png")


@pytest.fixture
def data(tmp_path: Path) -> FolderSegmentation:
    rng = np.random.default_rng(0)
    for number in range(20):
        write(tmp_path / "data", number, rng.choice(np.array([0, 1, 2, 255], np.uint8), (6, 5)))
    return FolderSegmentation("train", root=str(tmp_path / "data"), classes=CLASSES)


class OneClass(FolderSegmentation):
    """A data set that changes the labels of another, whose digest it inherits."""

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        return Sample(sample.image, np.zeros_like(sample.mask), sample.name)


def counted(data: Dataset, tmp_path: Path, num_workers: int | None = 0) -> LabelCounts:
    return count_labels(data, num_classes=3, ignore_index=255, cache_dir=tmp_path / "cache", num_workers=num_workers)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_several_processes_count_what_one_counts(data: FolderSegmentation) -> None:
    one, two = (count_labels(data, num_classes=3, ignore_index=255, cache_dir=None, num_workers=n) for n in (0, 2))
    assert one == two
    masks = np.stack([data.mask(index) for index in range(20)])
    assert one.pixels == tuple(int((masks == label).sum()) for label in range(3))


def test_what_is_remembered_of_a_data_set_is_not_that_of_one_with_other_labels(
    data: FolderSegmentation, tmp_path: Path
) -> None:
    first = counted(data, tmp_path)
    changed = OneClass("train", root=str(data.root), classes=CLASSES)
    among = ConcatSegmentation("train", parts={"changed": lambda _: changed})
    assert counted(changed, tmp_path).pixels == counted(among, tmp_path).pixels == (20 * 6 * 5, 0, 0)
    assert counted(data, tmp_path) == first


def test_they_are_remembered_beside_the_data(data: FolderSegmentation, tmp_path: Path) -> None:
    first = counted(data, tmp_path)
    (kept,) = files(tmp_path / "data" / ".rayseg")
    assert kept.parent.name == "counts"
    assert not files(tmp_path / "cache")
    stamp = kept.stat().st_mtime_ns
    assert counted(FolderSegmentation("train", root=str(data.root), classes=CLASSES), tmp_path) == first
    assert kept.stat().st_mtime_ns == stamp


def test_another_mask_has_other_counts(data: FolderSegmentation, tmp_path: Path) -> None:
    first = counted(data, tmp_path)
    write(tmp_path / "data", 3, np.full((6, 5), 2, np.uint8))
    second = counted(data, tmp_path)
    assert second.pixels[2] > first.pixels[2]
    assert len(files(tmp_path / "data" / ".rayseg")) == 2


def test_other_void_is_other_counts(data: FolderSegmentation, tmp_path: Path) -> None:
    write(tmp_path / "data", 0, np.full((6, 5), 0, np.uint8))
    for number in range(20):
        write(tmp_path / "data", number, np.full((6, 5), number % 3, np.uint8))
    all_three = counted(data, tmp_path)
    two = count_labels(data, num_classes=2, ignore_index=2, cache_dir=tmp_path / "cache")
    assert two.pixels == all_three.pixels[:2]


def test_a_folder_that_cannot_be_written_leaves_them_in_the_cache(data: FolderSegmentation, tmp_path: Path) -> None:
    (data.root / ".rayseg").write_text("in the way")
    first = counted(data, tmp_path)
    assert len(files(tmp_path / "cache")) == 1
    assert counted(data, tmp_path) == first


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder_leaves_them_in_the_cache(data: FolderSegmentation, tmp_path: Path) -> None:
    data.root.chmod(0o555)
    try:
        counted(data, tmp_path)
    finally:
        data.root.chmod(0o755)
    assert len(files(tmp_path / "cache")) == 1


def test_nowhere_to_write_is_no_fault(data: FolderSegmentation, tmp_path: Path) -> None:
    (data.root / ".rayseg").write_text("in the way")
    (tmp_path / "cache").write_text("in the way")
    assert counted(data, tmp_path).images == 20


def test_an_interrupted_count_leaves_nothing_behind(data: FolderSegmentation, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        count_labels(data, num_classes=3, ignore_index=255, cache_dir=tmp_path / "cache", on_progress=interrupt)
    assert not files(tmp_path / "cache")
    assert not (data.root / ".rayseg").exists()


def test_a_torn_file_is_made_anew(data: FolderSegmentation, tmp_path: Path) -> None:
    first = counted(data, tmp_path)
    (kept,) = files(data.root / ".rayseg")
    kept.write_text(kept.read_text()[:9])
    assert counted(data, tmp_path) == first
    assert len(kept.read_text()) > 9


def count_and_tell(data: FolderSegmentation, tmp_path: Path, told: multiprocessing.Queue[LabelCounts]) -> None:
    told.put(counted(data, tmp_path))


def test_processes_may_count_at_once(data: FolderSegmentation, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    processes = [context.Process(target=count_and_tell, args=(data, tmp_path, told)) for _ in range(4)]
    for process in processes:
        process.start()
    found = {told.get(timeout=30) for _ in processes}
    for process in processes:
        process.join()
    assert found == {counted(data, tmp_path)}
    assert len(files(data.root / ".rayseg")) == 1


def test_data_without_a_directory_are_remembered_in_the_cache(tmp_path: Path) -> None:
    streets = SyntheticStreets("train", length=2)
    count_labels(streets, num_classes=9, ignore_index=255, cache_dir=tmp_path)
    assert len(files(tmp_path / "counts")) == 1


def test_parquet_lies_in_a_directory_too(parquet_dir: Path, tmp_path: Path) -> None:
    data = ParquetSegmentation("train", path=str(parquet_dir), cache=str(tmp_path / "cache"))
    count_labels(data, num_classes=3, ignore_index=255, cache_dir=tmp_path / "cache")
    assert len(files(parquet_dir / ".rayseg")) == 1
    assert len(ParquetSegmentation("train", path=str(parquet_dir), cache=str(tmp_path / "cache"))) == 5


def test_a_small_data_set_needs_no_processes() -> None:
    assert default_workers(100) == 0
    assert default_workers(10_000) >= 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(stream: io.StringIO, seconds: float, total: int = 20) -> str:
    clock = itertools.count(step=seconds).__next__
    progress = Progress("images", stream, clock=clock)
    for done in range(1, total + 1):
        progress(done, total)
    return stream.getvalue()


def test_what_is_quick_is_not_told() -> None:
    assert told(io.StringIO(), 0.01) == ""
    assert told(Terminal(), 0.01) == ""


def test_lines_are_few_and_end_whole() -> None:
    lines = told(io.StringIO(), 3.0).splitlines()
    assert lines[0] == "images: 1 of 20 (5 %)"
    assert lines[-1] == "images: 20 of 20 (100 %)"
    assert 3 <= len(lines) <= 8


def test_a_terminal_has_one_line_that_fills() -> None:
    bar = told(Terminal(), 0.5)
    assert bar.count("\n") == 1
    assert bar.endswith(f"\rimages [{'#' * 30}] 20/20\n")
    assert bar.startswith("\rimages [###...")


def test_nobody_is_told_where_there_is_nobody() -> None:
    Progress("images", None)(1, 2)
