"""``data.cache``: whether decoded samples are kept, what must fit, and the data sets that keep them."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager, nullcontext

from rayseg.build.data import Data
from rayseg.build.resolve import Problems
from rayseg.config import ExperimentConfig
from rayseg.data import Dataset, KeepingPlace, KeptSegmentation, keeping_place, keeping_room, kept_bytes

__all__ = ["check_cache", "keeping", "kept"]


def keeping(config: ExperimentConfig) -> AbstractContextManager[KeepingPlace | None]:
    """Where the runs of a config keep decoded samples, for as long as the context lasts; None where they keep none.

    Example:
        >>> with keeping(ExperimentConfig()) as place:
        ...     print(place)
        None
    """
    return keeping_place() if config.data.cache else nullcontext()


def kept(config: ExperimentConfig, data: Data, place: KeepingPlace | None) -> tuple[Dataset, Dataset]:
    """The training and the validation split, kept if the config says so and there is a place.

    A place ends with its run or search, so that in it a data set is known by how it was asked for; its content, which some
    data sets must read every mask to tell, is not looked at.

    Args:
        config: the experiment.
        data: the splits.
        place: of the run or the search.

    Example:
        >>> from rayseg.build.data import open_data
        >>> from rayseg.build.parts import resolve_parts
        >>> config, problems = ExperimentConfig(), Problems()
        >>> data = open_data(config, resolve_parts(config, {}, problems), problems)
        >>> kept(config, data, None)[0] is data.train
        True
    """
    if place is None or not config.data.cache:
        return data.train, data.val
    num_classes, ignored = len(data.class_names), config.data.ignore_index

    def one(dataset: Dataset, split: str) -> Dataset:
        identity = [config.data.dataset.model_dump(mode="json"), split, num_classes, ignored]
        key = hashlib.blake2b(json.dumps(identity).encode(), digest_size=16).hexdigest()
        return KeptSegmentation(dataset, place, key, num_classes=num_classes, ignore_index=ignored)

    return one(data.train, config.data.train_split), one(data.val, config.data.val_split)


def check_cache(config: ExperimentConfig, data: Data, problems: Problems) -> None:
    """``data.cache: true`` asks for room for everything; it is estimated by the first image of each split.

    Args:
        config: the experiment.
        data: the splits.
        problems: every fault is added here.
    """
    if config.data.cache is not True:
        return
    needed = sum(len(dataset) * kept_bytes(*dataset[0].mask.shape) for dataset in (data.train, data.val))
    where, room = keeping_room()
    if needed > room:
        sizes = f"{needed / 2**30:.2f} GiB decoded, and {where} may take {room / 2**30:.2f} GiB, half of what is free"
        remedy = "write auto, which keeps what there is room for, or false; or give more memory (of a container: --shm-size)"
        problems.add("data.cache", f"true, but the data are {sizes}; {remedy}")
