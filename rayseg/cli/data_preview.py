"""``rayseg data preview``: samples as training sees them, with their labels and a legend, on one picture."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rayseg.build.data import crop_size, open_split, palette_of
from rayseg.build.objects import make_transforms
from rayseg.build.parts import resolve_parts
from rayseg.build.resolve import Problems
from rayseg.cli.loading import loaded
from rayseg.cli.output import say, table
from rayseg.config import DataConfig, ExperimentConfig
from rayseg.data import Dataset, check_sample, training_sample
from rayseg.errors import ConfigError, DataError, Problem
from rayseg.tracking import default_palette, encode_png, legend, overlay, tiled
from rayseg.types import Sample

__all__ = ["run"]

_GAP_PX = 2
#: A sheet of larger cells, or of more of them, is no picture to look at.
_MOST_PX = 16_384


def run(args: Namespace) -> int:
    """Draw image | labels over the image for the first samples of a run, or of a split.

    Raises:
        ConfigError: with every fault of the data or the transforms, or of the words.
        DataError: a sample is not what the config says, or the picture cannot be written.
    """
    _check_words(args)
    config = loaded(args)
    split = args.split or config.data.train_split
    dataset, names = open_split(config, split)
    augmented = split == config.data.train_split and not args.raw
    samples = _samples(config, dataset, len(names), args, augmented=augmented)
    palette = list(palette_of(config, dataset, names, Problems()) or default_palette(len(names)))
    tiles = [_tile(_shrunk(sample, args.tile), palette, config.data.ignore_index) for sample in samples]
    sheet = tiled(tiles, [f"{args.first + number}  {sample.name}" for number, sample in enumerate(samples)], args.columns)
    picture = np.concatenate([sheet, legend([*names, "not labelled"], [*palette, (24, 24, 24)], sheet.shape[1])])
    _write(Path(args.out).expanduser(), picture)
    say(table(_told(config, split, samples, names, augmented=augmented)))
    say(f"\n{args.out}: {picture.shape[1]} x {picture.shape[0]} px")
    return 0


def _check_words(args: Namespace) -> None:
    least = {"samples": 1, "columns": 1, "tile": 16, "first": 0}
    low = [
        Problem(f"--{name}", f"must be {value} or more, got {getattr(args, name)}")
        for name, value in least.items()
        if getattr(args, name) < value
    ]
    if not low and max(args.samples, args.columns) * args.tile > _MOST_PX * 16:
        low = [
            Problem("--samples", f"{args.samples} of {args.tile} px are too many for one picture; show fewer, or smaller ones")
        ]
    if low:
        raise ConfigError(low, "the command line")


def _samples(config: ExperimentConfig, dataset: Dataset, num_classes: int, args: Namespace, *, augmented: bool) -> list[Sample]:
    """Samples ``first, first + 1, ...``: those of the run with its transforms and padding, or of the split as it lies."""
    numbers = range(args.first, args.first + args.samples)
    if not augmented:
        if args.first >= len(dataset):
            raise ConfigError([Problem("--first", f"{args.first}: there are {len(dataset)} images")], "the command line")
        samples = [dataset[number] for number in numbers if number < len(dataset)]
    else:
        problems = Problems()
        parts = resolve_parts(config, {}, Problems())  # what is wrong with the data was told when they were opened
        transforms = list(make_transforms(parts, problems).values())
        problems.raise_if_any()
        size = crop_size(config, parts)
        drawn = (
            training_sample(dataset, transforms, config.seed, number, num_classes, config.data.ignore_index)
            for number in numbers
        )
        samples = [_padded(sample, size, config.data) for sample in drawn]
    for sample in samples:
        check_sample(sample, num_classes, config.data.ignore_index)
    return samples


def _padded(sample: Sample, size: tuple[int, int] | None, data: DataConfig) -> Sample:
    """As the model gets it: at the right and the bottom the mean colour, which normalisation makes 0."""
    if size is None:
        return sample
    height, width = sample.mask.shape
    rows, columns = max(height, size[0]), max(width, size[1])
    image = np.empty((rows, columns, 3), np.uint8)
    image[:] = np.rint(data.mean).astype(np.uint8)
    mask = np.full((rows, columns), data.ignore_index, np.uint8)
    image[:height, :width], mask[:height, :width] = sample.image, sample.mask
    return replace(sample, image=image, mask=mask)


def _shrunk(sample: Sample, longest: int) -> Sample:
    height, width = sample.mask.shape
    share = min(1.0, longest / max(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    image = Image.fromarray(sample.image).resize(size, Image.Resampling.LANCZOS)
    mask = Image.fromarray(sample.mask).resize(size, Image.Resampling.NEAREST)
    return replace(sample, image=np.asarray(image, np.uint8), mask=np.asarray(mask, np.uint8))


def _tile(sample: Sample, palette: Sequence[Sequence[int]], ignore_index: int) -> NDArray[np.uint8]:
    gap = np.full((sample.mask.shape[0], _GAP_PX, 3), 255, np.uint8)
    return np.concatenate([sample.image, gap, overlay(sample.image, sample.mask, palette, ignore_index)], axis=1)


def _write(target: Path, picture: NDArray[np.uint8]) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encode_png(picture))
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error.strerror or error}); choose another --out") from error


def _told(
    config: ExperimentConfig, split: str, samples: Sequence[Sample], names: Sequence[str], *, augmented: bool
) -> list[list[str]]:
    """What was drawn."""
    counts = np.sum([np.bincount(sample.mask.ravel(), minlength=256) for sample in samples], axis=0)
    sizes = sorted({sample.mask.shape for sample in samples})
    shown = ", ".join(f"{height}x{width}" for height, width in sizes[:4]) + (", ..." if len(sizes) > 4 else "")
    return [
        ["split", split],
        ["transforms", ", ".join(config.data.transforms) if augmented and config.data.transforms else "none"],
        ["height x width", shown],
        ["classes", f"{np.count_nonzero(counts[: len(names)])} of {len(names)}"],
        ["not labelled", f"{100 * counts[config.data.ignore_index] / counts.sum():.1f} %"],
    ]
