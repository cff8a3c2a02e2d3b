"""Batches of one worker, for training and for evaluation. Nothing here has state: the step and the rank say everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice

import torch

from rayseg.data._memory import Memory
from rayseg.data._workers import map_in_order
from rayseg.data.dataset import Dataset, check_form, check_labels, check_sample
from rayseg.data.delivery import Parcel, Recipient, delivered, pack
from rayseg.data.picture import Decoded, picture_of
from rayseg.data.stream import sample_of, step_keys
from rayseg.data.transforms import Transform, viewed
from rayseg.data.view import View
from rayseg.errors import DataError, ShapeError
from rayseg.types import Batch, Sample

__all__ = ["eval_batches", "train_batches", "training_sample"]


@dataclass(frozen=True)
class _Pixels:
    """What is the same for every image: labels and normalisation."""

    num_classes: int
    ignore_index: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    memory: Memory = field(default_factory=Memory)

    def parcel(
        self, views: Sequence[View], keys: Sequence[int], pad_size: tuple[int, int] | None, *, twist: bool = False
    ) -> Parcel:
        """Drawn, padded and side by side, in bytes, and checked."""
        for view in views:
            if isinstance(view.picture, Decoded) and not view.picture.checked:
                check_form(view.picture.sample)
        _require_equal_sizes(views, pad_size)
        parcel = pack(views, keys, pad_size, self.ignore_index, self.memory, twist=twist)
        for view, mask in zip(views, parcel.masks.numpy(), strict=True):
            check_labels(mask[: view.size[0], : view.size[1]], view.name, self.num_classes, self.ignore_index)
        return parcel

    def recipient(self, device: torch.device | None = None) -> Recipient:
        """Where they become numbers."""
        return Recipient(self.mean, self.std, device)


def _require_equal_sizes(views: Sequence[View], pad_size: tuple[int, int] | None) -> None:
    least = pad_size or (0, 0)
    sizes = {(max(view.size[0], least[0]), max(view.size[1], least[1])): view.name for view in views}
    if len(sizes) > 1:
        found = ", ".join(f"{name} {height}x{width}" for (height, width), name in sizes.items())
        raise ShapeError(
            f"one batch has training images of {len(sizes)} sizes (height x width px): {found}; expected one size: "
            "add a random_crop to data.transforms and set data.pad_size to at least its size"
        )


@dataclass(frozen=True)
class _TrainLoad:
    """Sample numbers -> batch: index, check, transforms, stacking."""

    dataset: Dataset
    transforms: tuple[Transform, ...]
    seed: int
    pixels: _Pixels
    pad_size: tuple[int, int] | None
    twist: bool = False

    def __call__(self, keys: list[int]) -> Parcel:
        return self.pixels.parcel([self._view(key) for key in keys], keys, self.pad_size, twist=self.twist)

    def _view(self, key: int) -> View:
        pixels = self.pixels
        return _training_view(self.dataset, self.transforms, self.seed, key, pixels.num_classes, pixels.ignore_index)


def training_sample(
    dataset: Dataset, transforms: Sequence[Transform], seed: int, key: int, num_classes: int, ignore_index: int
) -> Sample:
    """Sample number ``key`` of a run, checked and transformed: a function of seed and number.

    Args:
        dataset: the training split.
        transforms: applied in order, each with the sample's own generator.
        seed: of the sample stream.
        key: from 0.
        num_classes: C.
        ignore_index: the void label.

    Raises:
        DataError: the sample is not what the config says.

    Example:
        >>> from rayseg.data import RandomCrop, SyntheticStreets
        >>> training_sample(SyntheticStreets("train"), [RandomCrop(size=(32, 64))], 0, 5, 9, 255).mask.shape
        (32, 64)
    """
    return _training_view(dataset, transforms, seed, key, num_classes, ignore_index).sample()


def _training_view(
    dataset: Dataset, transforms: Sequence[Transform], seed: int, key: int, num_classes: int, ignore_index: int
) -> View:
    """The same, not yet drawn."""
    index, rng = sample_of(seed, key, len(dataset))
    picture = picture_of(dataset, index)
    if isinstance(picture, Decoded) and not picture.checked:
        check_sample(picture.sample, num_classes, ignore_index)
    return viewed(View.of(picture), transforms, rng)


def train_batches(  # noqa: PLR0913
    dataset: Dataset,
    transforms: Sequence[Transform],
    *,
    seed: int,
    batch_size: int,
    num_micro: int,
    start_step: int,
    stop_step: int,
    rank: int,
    world_size: int,
    num_classes: int,
    ignore_index: int,
    mean: Sequence[float],
    std: Sequence[float],
    pad_size: tuple[int, int] | None,
    num_workers: int = 0,
    device: torch.device | None = None,
    affine_colours: bool = False,
) -> Iterator[list[Batch]]:
    """This worker's micro-batches of each step in ``[start_step, stop_step)``; closing the iterator ends its processes.

    Args:
        dataset: the training split.
        transforms: applied in order, each with the sample's own generator.
        seed: of the sample stream.
        batch_size: B, images in one step over all workers.
        num_micro: micro-batches in a step (``micro_batches``).
        start_step: first step, 0 in a new run.
        stop_step: one after the last step.
        rank: number of this worker.
        world_size: number of workers.
        num_classes: C.
        ignore_index: the void label.
        mean: of RGB, in 0-255.
        std: of RGB, in 0-255.
        pad_size: ``(height, width)`` px to which smaller images are padded; None: no padding.
        num_workers: loading processes; the batches do not depend on it.
        device: where the batches are; a GPU gets the next step's while it works. None: the CPU.
        affine_colours: what changes colours after all else does so there, with the normalisation (``twist.py``).

    Raises:
        DataError: a sample is not what the config says, or the data set is empty.
        ShapeError: the images of a micro-batch differ in size.

    Example:
        >>> from rayseg.data import SyntheticStreets
        >>> stream = train_batches(
        ...     SyntheticStreets("train"),
        ...     [],
        ...     seed=0,
        ...     batch_size=4,
        ...     num_micro=2,
        ...     start_step=5,
        ...     stop_step=6,
        ...     rank=0,
        ...     world_size=2,
        ...     num_classes=9,
        ...     ignore_index=255,
        ...     mean=(0, 0, 0),
        ...     std=(255, 255, 255),
        ...     pad_size=None,
        ... )
        >>> [batch.keys.tolist() for batch in next(stream)]
        [[20], [22]]
    """
    _require_images(dataset)
    pixels = _Pixels(num_classes, ignore_index, tuple(mean), tuple(std))
    load = _TrainLoad(dataset, tuple(transforms), seed, pixels, pad_size, affine_colours)
    keys = (
        micro
        for step in range(start_step, stop_step)
        for micro in step_keys(step, batch_size, rank=rank, world_size=world_size, num_micro=num_micro)
    )
    parcels = map_in_order(load, keys, num_workers)
    batches = delivered(parcels, pixels.recipient(device), num_micro)
    try:
        while step_batches := list(islice(batches, num_micro)):
            yield step_batches
    finally:
        parcels.close()


@dataclass(frozen=True)
class _EvalLoad:
    """Indices -> batches of consecutive images of equal size."""

    dataset: Dataset
    pixels: _Pixels

    def __call__(self, indices: list[int]) -> list[tuple[Parcel, list[int]]]:
        samples = [(index, self.dataset[index]) for index in indices]
        return [self._parcel(list(run)) for _, run in groupby(samples, key=lambda pair: pair[1].image.shape)]

    def _parcel(self, run: list[tuple[int, Sample]]) -> tuple[Parcel, list[int]]:
        indices = [index for index, _ in run]
        return self.pixels.parcel([View.of(Decoded(sample)) for _, sample in run], indices, None), indices


def eval_batches(
    dataset: Dataset,
    *,
    rank: int,
    world_size: int,
    batch_size: int,
    num_classes: int,
    ignore_index: int,
    mean: Sequence[float],
    std: Sequence[float],
    num_workers: int = 0,
    device: torch.device | None = None,
) -> Iterator[tuple[Batch, list[int]]]:
    """Each image once over all workers: image i on worker ``i % world_size``; consecutive images of equal size share a batch.

    A worker may get no batch at all, so whatever is summed over workers is summed once, at the end.

    Args:
        dataset: the split.
        rank: number of this worker.
        world_size: number of workers.
        batch_size: most images in one batch of this worker.
        num_classes: C.
        ignore_index: the void label.
        mean: of RGB, in 0-255.
        std: of RGB, in 0-255.
        num_workers: loading processes; the batches do not depend on it.
        device: where the batches are; a GPU is sent bytes, and nothing waits for it. None: the CPU.

    Yields:
        A batch (its keys are the indices) and the indices of its images.

    Raises:
        DataError: a sample is not what the config says, or the data set is empty.

    Example:
        >>> from rayseg.data import SyntheticStreets
        >>> streets = SyntheticStreets("val", length=5)
        >>> pixels = {"num_classes": 9, "ignore_index": 255, "mean": (0, 0, 0), "std": (255, 255, 255)}
        >>> [indices for _, indices in eval_batches(streets, rank=0, world_size=2, batch_size=2, **pixels)]
        [[0, 2], [4]]
    """
    _require_images(dataset)
    mine = range(rank, len(dataset), world_size)
    chunks = [list(mine[first : first + batch_size]) for first in range(0, len(mine), batch_size)]
    pixels = _Pixels(num_classes, ignore_index, tuple(mean), tuple(std))
    load, recipient = _EvalLoad(dataset, pixels), pixels.recipient(device)
    groups = map_in_order(load, chunks, num_workers)
    try:
        for group in groups:
            yield from ((recipient.batch(parcel), indices) for parcel, indices in group)
    finally:
        groups.close()


def _require_images(dataset: Dataset) -> None:
    if len(dataset) == 0:
        raise DataError(f"{type(dataset).__name__}: no images; expected at least one: check the split and the path")
