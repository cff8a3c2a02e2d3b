"""Batches do not depend on the number of workers or loading processes, and errors arrive as they were raised."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from rayseg.data import (
    LabelCounts,
    ParquetSegmentation,
    Photometric,
    RandomCrop,
    RandomFlip,
    RandomResize,
    SyntheticStreets,
    count_labels,
    eval_batches,
    normalize,
    sample_of,
    train_batches,
)
from rayseg.errors import DataError, ShapeError
from rayseg.types import Batch, Sample

PIXELS: dict[str, Any] = {"num_classes": 9, "ignore_index": 255, "mean": (120.0, 110.0, 100.0), "std": (60.0, 58.0, 57.0)}
STREETS = SyntheticStreets("train", length=10, size=(32, 48))
RECIPE = (RandomResize(), RandomCrop(size=(24, 24)), RandomFlip(), Photometric())


@dataclass(frozen=True)
class Sized:
    """Blank images of the given heights; label 77 in image ``wrong``."""

    heights: tuple[int, ...]
    wrong: int = -1

    class_names = ("a", "b")
    palette = None

    def __len__(self) -> int:
        return len(self.heights)

    def __getitem__(self, index: int) -> Sample:
        mask = np.full((self.heights[index], 6), 77 if index == self.wrong else index % 2, np.uint8)
        return Sample(np.full((*mask.shape, 3), index, np.uint8), mask, f"image{index}")

    def digest(self) -> str:
        return f"{self.heights}{self.wrong}".encode().hex()


def _train(dataset: Any = STREETS, transforms: Sequence[Any] = RECIPE, **own: Any) -> Iterator[list[Batch]]:
    settings = {"seed": 3, "batch_size": 6, "num_micro": 2, "start_step": 0, "stop_step": 3, "rank": 0, "world_size": 1}
    return train_batches(dataset, transforms, **{**settings, "pad_size": (24, 24), **PIXELS, **own})


def _equal(first: Batch, second: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# -- training ---------------------------------------------------------------------------------------------------------


def test_a_batch_is_the_stream_written_out() -> None:
    batch = next(_train(num_micro=1))[0]
    assert batch.images.dtype == torch.float32
    assert batch.masks.dtype == batch.keys.dtype == torch.int64
    for place, key in enumerate(batch.keys.tolist()):
        index, rng = sample_of(3, key, len(STREETS))
        sample = STREETS[index]
        for transform in RECIPE:
            sample = transform(sample, rng)
        height, width = sample.mask.shape
        expected = normalize(sample.image, PIXELS["mean"], PIXELS["std"])
        assert np.array_equal(batch.images[place, :, :height, :width].numpy(), expected)
        assert np.array_equal(batch.masks[place, :height, :width].numpy(), sample.mask)
        assert torch.all(batch.masks[place, height:] == 255)
        assert torch.all(batch.images[place, :, :, width:] == 0)


@pytest.mark.parametrize("world_size", [2, 3])
def test_workers_together_see_the_batch_of_one_worker(world_size: int) -> None:
    alone = list(_train())
    shares = [list(_train(rank=rank, world_size=world_size)) for rank in range(world_size)]
    for step, micros in enumerate(alone):
        for j, whole in enumerate(micros):
            keys = torch.cat([share[step][j].keys for share in shares])
            order = keys.argsort()
            joined = Batch(*(torch.cat([share[step][j][part] for share in shares])[order] for part in range(3)))
            assert _equal(joined, whole)


def test_a_run_that_starts_in_the_middle_sees_the_same_batches() -> None:
    whole, rest = list(_train(stop_step=4)), list(_train(start_step=2, stop_step=4))
    assert len(rest) == 2
    assert all(_equal(a, b) for first, second in zip(whole[2:], rest, strict=True) for a, b in zip(first, second, strict=True))


def test_batches_do_not_depend_on_loading_processes_nor_touch_the_global_generator() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    here, there = list(_train()), list(_train(num_workers=2))
    assert torch.equal(before, torch.get_rng_state())
    assert len(here) == len(there) == 3
    assert all(_equal(a, b) for first, second in zip(here, there, strict=True) for a, b in zip(first, second, strict=True))


def test_closing_the_iterator_ends_the_loading_processes() -> None:
    stream: Any = _train(stop_step=100, num_workers=2)
    next(stream)
    children = mp.active_children()
    assert len(children) == 2
    stream.close()
    assert mp.active_children() == []


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_wrong_label_arrives_as_the_error_that_names_it(num_workers: int) -> None:
    with pytest.raises(DataError, match=r"^image4: mask has labels 77; expected 0\.\.1, or 255"):
        list(_train(Sized((8,) * 6, wrong=4), (), num_classes=2, num_workers=num_workers))
    assert mp.active_children() == []


def _spoiled(sample: Sample, _: np.random.Generator) -> Sample:
    return replace(sample, mask=sample.mask + np.uint8(40))


def test_labels_that_a_transform_spoils_and_wrong_labels_in_evaluation_are_named_too() -> None:
    with pytest.raises(DataError, match="labels 40"):
        list(_train(Sized((8,) * 6), (_spoiled,), num_classes=2))
    with pytest.raises(DataError, match=r"^image1: mask has labels 77"):
        list(eval_batches(Sized((8, 8), wrong=1), rank=0, world_size=1, batch_size=2, **PIXELS))


def test_images_of_several_sizes_need_a_crop_and_padding() -> None:
    mixed = Sized((8, 9, 8, 8, 8, 8))
    with pytest.raises(ShapeError, match=r"2 sizes .*image1 9x6.* set data\.pad_size"):
        list(_train(mixed, (), pad_size=None))
    assert next(_train(mixed, (), pad_size=(9, 6)))[0].masks.shape == (3, 9, 6)


def test_what_loads_can_be_sent_to_a_spawned_process() -> None:
    from rayseg.data.loader import _Pixels, _TrainLoad

    load = _TrainLoad(STREETS, RECIPE, 3, _Pixels(9, 255, (0.0,) * 3, (1.0,) * 3), (24, 24))
    assert all(map(torch.equal, pickle.loads(pickle.dumps(load))([5, 6]), load([5, 6])))


def test_an_empty_dataset_is_refused() -> None:
    for batches in (_train(Sized(()), ()), eval_batches(Sized(()), rank=0, world_size=1, batch_size=2, **PIXELS)):
        with pytest.raises(DataError, match="Sized: no images"):
            next(batches)


# -- evaluation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("world_size", "num_workers"), [(1, 0), (2, 0), (3, 0), (9, 0), (2, 2)])
def test_evaluation_sees_each_image_once(world_size: int, num_workers: int) -> None:
    mixed, seen = Sized((8, 8, 9, 9, 9, 8, 7)), []
    for rank in range(world_size):
        own = {"rank": rank, "world_size": world_size, "batch_size": 2, **PIXELS}
        for batch, indices in eval_batches(mixed, num_workers=num_workers, **own):
            assert batch.keys.tolist() == indices
            assert len(indices) <= 2
            assert all(index % world_size == rank for index in indices)
            assert {mixed.heights[index] for index in indices} == {batch.masks.shape[1]}
            seen += indices
    assert sorted(seen) == list(range(7))


def test_images_of_equal_size_share_a_batch_and_come_in_order() -> None:
    batches = [indices for _, indices in eval_batches(STREETS, rank=0, world_size=1, batch_size=4, **PIXELS)]
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    mixed = Sized((8, 8, 9, 9, 9))
    runs = [indices for _, indices in eval_batches(mixed, rank=0, world_size=1, batch_size=5, **PIXELS)]
    assert runs == [[0, 1], [2, 3, 4]]
    assert all(a[-1] < b[0] for a, b in pairwise(runs))


# -- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_workers", [0, 2])
def test_counts_are_those_of_a_plain_loop(num_workers: int) -> None:
    counts = count_labels(STREETS, num_classes=9, ignore_index=255, cache_dir=None, num_workers=num_workers)
    masks = [STREETS[index].mask for index in range(10)]
    assert counts.pixels == tuple(sum(int((mask == c).sum()) for mask in masks) for c in range(9))
    assert counts.image_pixels == tuple(sum(int((mask != 255).sum()) for mask in masks if c in mask) for c in range(9))
    assert counts.images == 10


def test_the_void_label_is_not_counted_even_where_it_is_a_class_index() -> None:
    counts = count_labels(Sized((2, 2)), num_classes=2, ignore_index=1, cache_dir=None)
    assert counts == LabelCounts(pixels=(12, 0), image_pixels=(12, 0), images=2, class_images=(1, 0), void_pixels=12)


def test_counts_are_remembered_by_digest(tmp_path: Any) -> None:
    first = count_labels(Sized((2, 3)), num_classes=2, ignore_index=255, cache_dir=tmp_path)
    assert count_labels(Sized((2, 3)), num_classes=2, ignore_index=255, cache_dir=tmp_path) == first
    (entry,) = (tmp_path / "counts").iterdir()
    entry.write_text('{"pixels": [1, 2], "image_pixels": [3, 4], "images": 5, "class_images": [1, 1], "void_pixels": 0}')
    assert count_labels(Sized((2, 3)), num_classes=2, ignore_index=255, cache_dir=tmp_path).images == 5
    entry.write_text('{"pixels": [1,')
    assert count_labels(Sized((2, 3)), num_classes=2, ignore_index=255, cache_dir=tmp_path) == first
    assert count_labels(Sized((2, 4)), num_classes=2, ignore_index=255, cache_dir=tmp_path) != first


@pytest.mark.shared
def test_camvids_counts_give_the_published_median_frequency_weights(shared_data: Any, tmp_path: Any) -> None:
    camvid = ParquetSegmentation("train", path=str(shared_data / "camvid"), cache=str(tmp_path))
    counts = count_labels(camvid, num_classes=11, ignore_index=11, cache_dir=None)
    frequency = np.array(counts.pixels) / np.array(counts.image_pixels)
    published = [0.279, 0.202, 4.79, 0.149, 1.00, 0.422, 3.85, 1.97, 0.789, 6.37, 8.86]
    assert np.allclose(np.median(frequency) / frequency, published, rtol=6e-3)
