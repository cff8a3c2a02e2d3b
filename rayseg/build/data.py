"""Datasets opened and looked at, before anything is trained on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rayseg.build.parts import Parts
from rayseg.build.resolve import Problems, Resolved
from rayseg.config import ExperimentConfig
from rayseg.data import Dataset, check_sample
from rayseg.errors import RaysegError

__all__ = ["Data", "open_data", "open_split"]


@dataclass(frozen=True)
class Data:
    """The splits that training needs.

    Args:
        train: training split.
        val: validation split.
        class_names: C names.
        pad_size: (height, width) px of training images, or None where they are used at their own size.
    """

    train: Dataset
    val: Dataset
    class_names: tuple[str, ...]
    pad_size: tuple[int, int] | None

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...] | None:
        """Colours of the dataset, if it has any."""
        return self.train.palette


def open_split(dataset: Resolved, split: str, path: str, problems: Problems) -> Dataset | None:
    """Open one split; a fault is added under ``path``."""
    try:
        opened: Dataset = dataset(split)
        if len(opened) == 0:
            problems.add(path, f"split {split!r} has no images; check data.dataset and the name of the split")
            return None
        return opened
    except (RaysegError, OSError, TypeError, ValueError) as error:
        problems.add(path, f"cannot open split {split!r}: {error}")
        return None


def open_data(config: ExperimentConfig, parts: Parts, problems: Problems) -> Data | None:
    """Open the training and the validation split and look at the first sample of each.

    Returns:
        None when a fault was found.
    """
    if parts.dataset is None:
        return None
    train = open_split(parts.dataset, config.data.train_split, "data.train_split", problems)
    val = open_split(parts.dataset, config.data.val_split, "data.val_split", problems)
    if train is None or val is None:
        return None
    names = class_names(config, train, problems)
    fits = [_first_fits(config, each, split, len(names), problems) for each, split in ((train, "train"), (val, "val"))]
    if not all(fits):
        return None
    return Data(train, val, names, crop_size(config, parts))


def class_names(config: ExperimentConfig, train: Dataset, problems: Problems) -> tuple[str, ...]:
    """The names in the config, or the dataset's own."""
    names = config.data.class_names or tuple(train.class_names)
    if len(set(names)) != len(names):
        problems.add("data.class_names", f"names must differ, got {list(names)}")
    if config.data.ignore_index < len(names):
        problems.add(
            "data.ignore_index",
            f"{config.data.ignore_index} is class {names[config.data.ignore_index]!r}; "
            f"with {len(names)} classes 0-{len(names) - 1} it must be {len(names)} or more",
        )
    return tuple(names)


def crop_size(config: ExperimentConfig, parts: Parts) -> tuple[int, int] | None:
    """Size in px that every training image is brought to: ``data.pad_size``, else that of the last crop."""
    if config.data.pad_size is not None:
        return config.data.pad_size
    sizes: list[Any] = [transform.kwargs["size"] for transform in parts.transforms if "size" in transform.kwargs]
    return tuple(sizes[-1]) if sizes else None


def _first_fits(config: ExperimentConfig, dataset: Dataset, split: str, num_classes: int, problems: Problems) -> bool:
    try:
        check_sample(dataset[0], num_classes, config.data.ignore_index)
    except (RaysegError, OSError) as error:
        problems.add(f"data.{split}_split", str(error))
        return False
    return True
