"""Labels of the training set, counted once for a run or a whole search."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rayseg.build.data import Data, open_data
from rayseg.build.objects import needs_counts
from rayseg.build.parts import Components, Parts, resolve_parts
from rayseg.build.resolve import Problems
from rayseg.collective import broadcast_object, is_main
from rayseg.config import ExperimentConfig
from rayseg.data import Dataset, LabelCounts, Progress, cache_directory, count_labels

__all__ = ["count_split", "counts_of", "label_counts", "same_labels"]


def label_counts(config: ExperimentConfig, parts: Parts, data: Data, known: LabelCounts | None = None) -> LabelCounts | None:
    """Labels of the training set where a class weight is made of them, counted once by rank 0; a collective.

    Args:
        config: the experiment.
        parts: resolved.
        data: the splits.
        known: the counts, where somebody has them.
    """
    if not needs_counts(parts):
        return None
    if known is not None:
        return known
    result: LabelCounts = broadcast_object(count_split(config, data.train, data.class_names) if is_main() else None)
    return result


def count_split(config: ExperimentConfig, dataset: Dataset, class_names: Sequence[str]) -> LabelCounts:
    """Labels of a split as an experiment counts them: in parallel, remembered, told on stderr where it takes long.

    Args:
        config: the experiment.
        dataset: the split.
        class_names: C names.

    Raises:
        DataError: a sample is not what the config says.

    Example:
        >>> from rayseg.data import SyntheticStreets
        >>> streets = SyntheticStreets("train", length=2)
        >>> count_split(ExperimentConfig(), streets, streets.class_names).images
        2
    """
    return count_labels(
        dataset,
        num_classes=len(class_names),
        ignore_index=config.data.ignore_index,
        ignored=[label for label, name in enumerate(class_names) if name in config.ignore_classes],
        cache_dir=cache_directory(),
        num_workers=config.data.num_workers or None,
        on_progress=Progress("counting labels of images", sys.stderr if config.tracking.text else None),
    )


def same_labels(ours: ExperimentConfig, theirs: ExperimentConfig) -> bool:
    """Whether two experiments count the same labels: transforms and what else is done to images do not matter.

    Example:
        >>> same_labels(ExperimentConfig(), ExperimentConfig().with_({"data.num_workers": 2}))
        True
    """
    keys = ("dataset", "train_split", "class_names", "ignore_index")
    same_data = all(getattr(ours.data, key) == getattr(theirs.data, key) for key in keys)
    return same_data and set(ours.ignore_classes) == set(theirs.ignore_classes)


def counts_of(
    base: ExperimentConfig, configs: Iterable[ExperimentConfig], components: Components | None = None
) -> LabelCounts | None:
    """Labels of the training set of an experiment, if a recipe over the same labels makes class weights of them.

    Args:
        base: the experiment.
        configs: recipes.
        components: name -> callable given by value.

    Raises:
        ConfigError: the data cannot be opened.
        DataError: a sample is not what the config says.

    Example:
        >>> counts_of(ExperimentConfig(), [ExperimentConfig()]) is None
        True
    """
    for config in configs:
        problems = Problems()
        parts = resolve_parts(config, components or {}, problems)
        if needs_counts(parts) and same_labels(config, base):
            data = open_data(config, parts, problems)
            problems.raise_if_any()
            assert data is not None
            return count_split(config, data.train, data.class_names)
    return None
