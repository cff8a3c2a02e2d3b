"""Datasets opened and looked at, before anything is trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rayseg.build.parts import Components, Parts, resolve_parts
from rayseg.build.resolve import Problems, Resolved, caught
from rayseg.config import ExperimentConfig
from rayseg.data import Dataset, Palette, check_sample
from rayseg.errors import ConfigError

__all__ = ["Data", "data_digests", "open_data", "open_split"]


#: What is asked of one, at the latest when its labels are counted or its pictures drawn.
_OF_A_DATASET = ("__len__", "__getitem__", "class_names", "palette", "digest")


@dataclass(frozen=True)
class Data:
    """The splits that training needs.

    Args:
        train: training split.
        val: validation split.
        class_names: C names.
        pad_size: (height, width) px of training images, or None where they are used at their own size.
        palette: an RGB triple per class, if anybody gave them.
    """

    train: Dataset
    val: Dataset
    class_names: tuple[str, ...]
    pad_size: tuple[int, int] | None
    palette: Palette | None


def open_data(config: ExperimentConfig, parts: Parts, problems: Problems) -> Data | None:
    """Open the training and the validation split and look at the first sample of each.

    Returns:
        None when a fault was found.
    """
    if parts.dataset is None:
        return None
    splits = _open_splits(config, parts.dataset, problems)
    if splits is None:
        return None
    train, val = splits
    names = class_names(config, train, problems)
    if not _ignores_no_class(config, names, problems):
        return None
    palette = palette_of(config, train, names, problems)
    first_fit = [
        _fits(dataset, len(names), config.data.ignore_index, path, problems)
        for dataset, path in ((train, "data.train_split"), (val, "data.val_split"))
    ]
    return Data(train, val, names, crop_size(config, parts), palette) if all(first_fit) else None


def data_digests(config: ExperimentConfig, components: Components | None = None) -> dict[str, str]:
    """A hex string for each split that is trained and judged on, which changes when its images or labels do.

    Args:
        config: the experiment.
        components: name -> callable given by value.

    Raises:
        ConfigError: with every fault of the data.

    Example:
        >>> sorted(data_digests(ExperimentConfig()))
        ['train', 'val']
    """
    problems = Problems()
    data = open_data(config, resolve_parts(config, components or {}, problems), problems)
    if data is None:
        raise ConfigError(problems.found, "the data")
    return {config.data.train_split: data.train.digest(), config.data.val_split: data.val.digest()}


def open_split(config: ExperimentConfig, split: str, components: Components | None = None) -> tuple[Dataset, tuple[str, ...]]:
    """One split of an experiment and its class names, looked at as :func:`open_data` does; the rest of the config may be wrong.

    Args:
        config: the experiment.
        split: of the data set; ``test`` is the one that the config calls so.
        components: name -> callable given by value.

    Raises:
        ConfigError: with every fault of the data.

    Example:
        >>> dataset, names = open_split(ExperimentConfig(), "val")
        >>> len(dataset), names[:2]
        (200, ('sky', 'building'))
    """
    problems = Problems()
    parts = resolve_parts(config, components or {}, problems)
    name = config.data.test_split or split if split == "test" else split
    dataset = None if parts.dataset is None else _open_split(parts.dataset, name, "data.dataset", problems)
    names = () if dataset is None else class_names(config, dataset, problems)
    if dataset is not None and _ignores_no_class(config, names, problems):
        palette_of(config, dataset, names, problems)
        _fits(dataset, len(names), config.data.ignore_index, "data.dataset", problems)
    if found := [problem for problem in problems.found if problem.path.startswith("data.")]:
        raise ConfigError(found, f"the data of split {split!r}")
    assert dataset is not None
    return dataset, names


def _open_splits(config: ExperimentConfig, dataset: Resolved, problems: Problems) -> tuple[Dataset, Dataset] | None:
    """The fault of a data set that cannot be opened at all is noted once, that of a split under the split."""
    faults = {"data.train_split": Problems(), "data.val_split": Problems()}
    names = (config.data.train_split, config.data.val_split)
    train, val = (_open_split(dataset, name, path, found) for (path, found), name in zip(faults.items(), names, strict=True))
    if train is not None and val is not None:
        return train, val
    if train is None and val is None:
        problems.add("data.dataset", faults["data.train_split"].found[0].message)
        return None
    for found in faults.values():
        for problem in found.found:
            problems.add(problem.path, problem.message)
    return None


def _open_split(dataset: Resolved, split: str, path: str, problems: Problems) -> Dataset | None:
    opened: Dataset | None = caught(path, problems, lambda: dataset(split))
    if opened is None:
        return None
    if missing := [name for name in _OF_A_DATASET if not hasattr(opened, name)]:
        problems.add(
            path, f"{dataset.name!r} gives {type(opened).__name__}, which has no {', '.join(missing)}; add what is missing"
        )
        return None
    if len(opened) == 0:
        problems.add(path, f"split {split!r} has no images; check data.dataset and the name of the split")
        return None
    return opened


def class_names(config: ExperimentConfig, train: Dataset, problems: Problems) -> tuple[str, ...]:
    """The names in the config, or the dataset's own."""
    names = config.data.class_names or tuple(train.class_names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.add("data.class_names", f"names must differ, got {', '.join(map(repr, twice))} more than once; rename them")
    return names


def palette_of(config: ExperimentConfig, dataset: Dataset, names: Sequence[str], problems: Problems) -> Palette | None:
    """The colours in the config, or the dataset's own, which must be as many as there are classes."""
    given = config.data.palette
    if given is not None and len(given) != len(names):
        message = f"{len(given)} colours for {len(names)} classes ({', '.join(names)}); give one RGB triple for each, or null"
        problems.add("data.palette", message)
        return None
    own = dataset.palette
    if given is None and own is not None and len(own) != len(names):
        message = f"the data set has {len(own)} colours for {len(names)} classes ({', '.join(names)}); give one for each"
        problems.add("data.palette", message)
        return None
    return given or own


def _ignores_no_class(config: ExperimentConfig, names: tuple[str, ...], problems: Problems) -> bool:
    ignored = config.data.ignore_index
    if ignored >= len(names):
        return True
    classes = f"with {len(names)} classes 0-{len(names) - 1} it must be {len(names)} or more"
    problems.add("data.ignore_index", f"{ignored} is class {names[ignored]!r}; {classes}")
    return False


def crop_size(config: ExperimentConfig, parts: Parts) -> tuple[int, int] | None:
    """Size in px that every training image is padded to: ``data.pad_size``, else that of the last crop."""
    if config.data.pad_size is not None:
        return config.data.pad_size
    sizes: list[Any] = [call.kwargs["size"] for call in parts.transforms.values() if "size" in call.kwargs]
    return tuple(sizes[-1]) if sizes else None


def _fits(dataset: Dataset, num_classes: int, ignore_index: int, path: str, problems: Problems) -> bool:
    def look() -> bool:
        check_sample(dataset[0], num_classes, ignore_index)
        return True

    return caught(path, problems, look) is True
