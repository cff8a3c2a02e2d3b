"""How often each class occurs: what class weights are made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayseg.data._beside import remembered
from rayseg.data._shortcuts import shortcut
from rayseg.data._workers import default_workers, map_in_order
from rayseg.data.concat import ConcatSegmentation
from rayseg.data.dataset import Dataset, check_sample
from rayseg.data.kept import KeptSegmentation

__all__ = ["LabelCounts", "count_labels"]

_CHUNK = 8
#: Of what is remembered.
_VERSION = "v2"


@dataclass(frozen=True)
class LabelCounts:
    """Labels of a split.

    Args:
        pixels: per class, its number of pixels.
        image_pixels: per class, the number of labelled pixels in the images that contain it; so
            ``pixels / image_pixels`` is the frequency that median-frequency balancing uses (Eigen & Fergus, 2015).
        images: number of images.
        class_images: per class, the number of images that contain it.
        void_pixels: pixels that are not counted: void, and classes that are ignored.

    Example:
        >>> counts = LabelCounts(pixels=(3, 1), image_pixels=(4, 2), images=2, class_images=(1, 1), void_pixels=0)
        >>> [p / i for p, i in zip(counts.pixels, counts.image_pixels)]
        [0.75, 0.5]
    """

    pixels: tuple[int, ...]
    image_pixels: tuple[int, ...]
    images: int
    class_images: tuple[int, ...]
    void_pixels: int


@dataclass(frozen=True)
class _CountLoad:
    """Indices -> ``(4, C)``: pixels, image pixels, images, and pixels of no class (first column), summed over these images."""

    dataset: Dataset
    num_classes: int
    ignore_index: int
    ignored: tuple[int, ...]

    def __call__(self, indices: list[int]) -> NDArray[np.int64]:
        total: NDArray[np.int64] = np.sum([self._one(index) for index in indices], axis=0)
        return total

    def _one(self, index: int) -> NDArray[np.int64]:
        alone = shortcut(self.dataset, "mask", instead_of="__getitem__")  # without decoding the image, most of the work
        mask: NDArray[np.uint8] | None = None if alone is None else alone(index)
        pixels = None if mask is None else self._histogram(mask)
        if mask is None or pixels is None:
            sample = self.dataset[index]
            check_sample(sample, self.num_classes, self.ignore_index)
            mask, pixels = sample.mask, self._histogram(sample.mask)
        assert pixels is not None
        there = (pixels > 0).astype(np.int64)
        void = np.zeros_like(pixels)
        void[0] = mask.size - pixels.sum()
        return np.stack([pixels, there * pixels.sum(), there, void])

    def _histogram(self, mask: NDArray[np.uint8]) -> NDArray[np.int64] | None:
        """Pixels per class; None where a label is none, which is told with the whole sample."""
        pixels = np.bincount(mask.ravel(), minlength=256)
        pixels[[self.ignore_index, *self.ignored]] = 0
        return None if pixels[self.num_classes :].any() else pixels[: self.num_classes]


def count_labels(
    dataset: Dataset,
    *,
    num_classes: int,
    ignore_index: int,
    ignored: Sequence[int] = (),
    cache_dir: Path | None,
    num_workers: int | None = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> LabelCounts:
    """Count the labels of a split, by several processes; remembered under a digest of the data.

    It is remembered in the folder ``.rayseg`` beside the data, where the data set has a directory (``root``) that can be
    written, else in ``cache_dir``. Where a class has a ``__getitem__`` of its own and inherits ``digest``, that speaks of other
    samples: they are counted anew each time.

    Args:
        dataset: usually the training split, without transforms; where it has ``mask(index)``, no image is decoded.
        num_classes: C.
        ignore_index: the void label, which is not counted.
        ignored: classes that are not counted either, as if they were void.
        cache_dir: None: count anew, and remember nothing.
        num_workers: loading processes; None: as many as there are cores, for a data set that is worth it.
        on_progress: called with the number of images that are counted, and of all.

    Raises:
        DataError: a sample is not what the config says.

    Example:
        >>> from rayseg.data import SyntheticStreets
        >>> streets = SyntheticStreets("train", length=2, void=False)
        >>> sum(count_labels(streets, num_classes=9, ignore_index=255, cache_dir=None).pixels) == 2 * 128 * 256
        True
    """
    workers = default_workers(len(dataset)) if num_workers is None else num_workers

    def count() -> LabelCounts:
        return _count(_CountLoad(dataset, num_classes, ignore_index, tuple(ignored)), workers, on_progress)

    if cache_dir is None or not _is_told_by_digest(dataset):
        return count()
    key = "-".join(str(number) for number in (_VERSION, num_classes, ignore_index, *sorted(ignored)))
    name = f"counts/{dataset.digest()}-{key}.json"
    found: dict[str, Any] = remembered(dataset, name, cache_dir, lambda: asdict(count()))
    found = {field: tuple(value) if isinstance(value, list) else value for field, value in found.items()}
    return LabelCounts(**found)


def _is_told_by_digest(dataset: Dataset) -> bool:
    """Whether the digest speaks of these very samples, and of those of the data sets within."""
    within: Sequence[Dataset] = dataset.parts if isinstance(dataset, ConcatSegmentation) else ()
    within = (dataset.dataset,) if isinstance(dataset, KeptSegmentation) else within
    return shortcut(dataset, "digest", instead_of="__getitem__") is not None and all(map(_is_told_by_digest, within))


def _count(load: _CountLoad, num_workers: int, on_progress: Callable[[int, int], None] | None) -> LabelCounts:
    everything = range(len(load.dataset))
    chunks = [list(everything[first : first + _CHUNK]) for first in range(0, len(everything), _CHUNK)]
    total, done = np.zeros((4, load.num_classes), np.int64), 0
    for chunk, counted in zip(chunks, map_in_order(load, chunks, num_workers), strict=True):
        total += counted
        done += len(chunk)
        if on_progress is not None:
            on_progress(done, len(everything))
    pixels, image_pixels, class_images, void = total.tolist()
    return LabelCounts(tuple(pixels), tuple(image_pixels), len(everything), tuple(class_images), void[0])
