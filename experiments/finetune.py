#!/usr/bin/env python3
"""Fine-tuning: what are weights from elsewhere worth, and does it pay to let the backbone wait?

    python experiments/finetune.py --smoke                                seconds on generated streets
    python experiments/finetune.py --data nuclei --source camvid_small    directories with train, val and test.parquet

Four runs of equal length, seed and data: from scratch; from ImageNet weights in the backbone; the same with a backbone that
is frozen for a third of the run and then learns at a tenth of the head's rate; and, likewise frozen, from a network that was
trained on other data: everything but the output layer, which has another number of classes. Every run is one process without
Ray. Words like optim.lr=0.002 change every run on the target data.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a job's own copy comes before an installed package

import numpy as np  # noqa: E402

import rayseg  # noqa: E402
from rayseg.config import parse_assignments  # noqa: E402
from rayseg.data import SyntheticStreets  # noqa: E402
from rayseg.errors import RaysegError  # noqa: E402
from rayseg.types import Sample  # noqa: E402

#: Cross-entropy on crops, no warm-up: recipes differ in where weights start and which of them learn.
COMMON: dict[str, Any] = {
    "losses": {"ce": {"type": "cross_entropy", "class_weight": {"type": "median_frequency", "power": 0.5}}},
    "sampling": None,
    "schedule.warmup": None,
    "tracking.text": False,
    "tracking.mlflow": None,
}
REAL = {"data.ignore_index": 255, "data.transforms.crop.size": [128, 128], "eval.every": {"steps": 75}}
SMOKE = {"model": {"type": "small_unet", "width": 8}, "data.dataset": {"type": "synthetic", "length": 16, "size": [48, 64]}}
PRETRAINED = "efficientnet-lite0-package"
COLUMNS = ("val/mIoU", "test/mIoU", "test/aAcc")


class Roads:
    """The generated streets with two classes: road, and everything else."""

    class_names, palette = ("other", "road"), None

    def __init__(self, split: str) -> None:
        self._streets = SyntheticStreets(split, length=16, size=(48, 64))
        self._road = self._streets.class_names.index("road")

    def __len__(self) -> int:
        return len(self._streets)

    def __getitem__(self, index: int) -> Sample:
        street = self._streets[index]
        mask = np.where(street.mask == 255, 255, street.mask == self._road).astype(np.uint8)
        return Sample(street.image, mask, street.name)

    def digest(self) -> str:
        """Of what the streets are made of."""
        return f"roads of {self._streets.digest()}"


def recipes(source: Path, pretrained: str | None, steps: int) -> dict[str, dict[str, Any]]:
    """Changes to the common config; ``source`` is the checkpoint of a network that was trained on other data."""
    weights = {} if pretrained is None else {"model.pretrained": pretrained}
    released = {
        "freeze.body": {"match": "^backbone", "until": {"steps": max(1, steps // 3)}},
        "optim.lr": 0.0003,
        "optim.groups.head": {"match": "^decode_head", "lr_mult": 10.0},
    }
    imagenet = {"ImageNet": weights, "ImageNet, frozen first": {**weights, **released}} if weights else {}
    return {"from scratch": {}, **imagenet, "other data, frozen first": {"init": {"checkpoint": str(source)}, **released}}


def main() -> None:
    """Train the source, then the recipes, and print the table."""
    args = parse_arguments()
    storage = str(Path(args.storage).expanduser().resolve())
    print(f"storage {storage}, {args.steps} steps a run\n", flush=True)
    source = trained(args, storage, "source", source_data(args))
    print("| recipe | " + " | ".join(COLUMNS) + " |\n" + "| --- " * (len(COLUMNS) + 1) + "|")
    for name, changes in recipes(source, None if args.smoke else PRETRAINED, args.steps).items():
        words = "-".join(name.replace(",", "").split())
        checkpoint = trained(args, storage, words, {**target_data(args), **changes, **parse_assignments(args.overrides)})
        scores = {**evaluated(checkpoint, "val"), **evaluated(checkpoint, "test")}
        print(f"| {name} | " + " | ".join(f"{scores[column]:.3f}" for column in COLUMNS) + " |", flush=True)


def source_data(args: argparse.Namespace) -> dict[str, Any]:
    """Eleven classes of streets, from ImageNet weights; or nine of generated ones."""
    if args.smoke:
        return {}
    return {"data.dataset.path": str(Path(args.source).expanduser().resolve()), "model.pretrained": PRETRAINED}


def target_data(args: argparse.Namespace) -> dict[str, Any]:
    """Three classes of cells, or two of generated streets."""
    if args.smoke:
        return {"data.dataset": {"type": "roads"}}
    return {**REAL, "data.dataset.path": str(Path(args.data).expanduser().resolve())}


def trained(args: argparse.Namespace, storage: str, name: str, changes: dict[str, Any]) -> Path:
    """The last checkpoint of a run, which goes on or is read where it exists."""
    common = {**COMMON, **(SMOKE if args.smoke else {})}
    run = {"tracking.storage": storage, "tracking.name": name, "train.steps": args.steps, "seed": args.seed}
    file = ROOT / "experiments" / "configs" / ("streets.yaml" if args.smoke else "parquet.yaml")
    base = rayseg.load_config(file, {**common, "model.pretrained": None, **run} if not args.smoke else {**common, **run})
    result = rayseg.train(base.with_(changes), components={"roads": Roads})
    assert result.last_checkpoint is not None
    return result.last_checkpoint


def evaluated(checkpoint: Path, split: str) -> dict[str, float]:
    """Scores over a split."""
    return rayseg.evaluate(checkpoint, split=split, components={"roads": Roads})


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR", help="target: train, val and test.parquet")
    parser.add_argument("--source", metavar="DIR", help="other data to train on first")
    parser.add_argument("--steps", type=int, metavar="N", help="of every run; default 150, with --smoke 30")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--storage", default="runs/finetune", help="checkpoints and results go under it")
    parser.add_argument("--smoke", action="store_true", help="small and short, on generated streets")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to every run on the target data")
    args = parser.parse_args()
    if not args.smoke and (args.data is None or args.source is None):
        parser.error("give --data and --source, or --smoke")
    args.steps = args.steps or (30 if args.smoke else 150)
    return args


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
