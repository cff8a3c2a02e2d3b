"""``rayseg data stats``: labels of each split, and the class weights that each rule makes of those to train on."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import torch

from rayseg.build.counting import count_split
from rayseg.build.data import open_split
from rayseg.cli.loading import loaded
from rayseg.cli.output import fill, say, table
from rayseg.data import LabelCounts
from rayseg.losses import CLASS_WEIGHT_RULES

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Count the labels of each split, once: they are remembered beside the data.

    Raises:
        ConfigError: with every fault of the data.
        DataError: a sample is not what the config says.
    """
    config = loaded(args)
    train = config.data.train_split
    counted: dict[str, LabelCounts] = {}
    names: tuple[str, ...] = ()
    for split in dict.fromkeys(args.split or (train, config.data.val_split)):
        dataset, names = open_split(config, split)
        counted[split] = count_split(config, dataset, names)
    weights = _weights(counted[train]) if train in counted else {}
    if args.json:
        splits = {split: asdict(counts) for split, counts in counted.items()}
        say(json.dumps({"class_names": names, "splits": splits, "class_weights": weights}, indent=2))
        return 0
    for split, counts in counted.items():
        say(f"{_split_text(split, counts, names)}\n")
    if weights:
        say(_weights_text(weights, names))
    return 0


def _weights(counts: LabelCounts) -> dict[str, list[float]]:
    """Rule -> one weight per class."""
    pixels, image_pixels = torch.tensor(counts.pixels), torch.tensor(counts.image_pixels)
    return {name: rule(pixels, image_pixels).tolist() for name, rule in CLASS_WEIGHT_RULES.items()}


def _split_text(split: str, counts: LabelCounts, names: Sequence[str]) -> str:
    labelled = sum(counts.pixels)
    everything = labelled + counts.void_pixels
    head = (
        f"{split}: {counts.images:,} images, {everything:,} pixels, {100 * counts.void_pixels / everything:.2f} % not counted"
    )
    rows = [
        [name, f"{pixels:,}", _percent(pixels, labelled), f"{images:,}", _percent(pixels, there)]
        for name, pixels, images, there in zip(names, counts.pixels, counts.class_images, counts.image_pixels, strict=True)
    ]
    absent = [name for name, pixels in zip(names, counts.pixels, strict=True) if pixels == 0]
    lines = [head, table([["class", "pixels", "share", "images", "share there"], *rows])]
    return "\n".join([*lines, fill(f"in no image: {', '.join(absent)}")] if absent else lines)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3f} %" if whole else "-"


def _weights_text(weights: Mapping[str, Sequence[float]], names: Sequence[str]) -> str:
    rows = [[name, *(f"{column[label]:.4g}" for column in weights.values())] for label, name in enumerate(names)]
    use = "a term uses a rule by its name: losses.ce.class_weight={type: median_frequency}"
    return "\n".join(["class weights by each rule, as it is without arguments", table([["class", *weights], *rows]), "", use])
