#!/usr/bin/env python3
"""A search that is run to its end on real images: tune the baseline, search, confirm over paired seeds, look at test once.

    python experiments/real_sweeps.py camvid --smoke              a minute on generated streets
    python experiments/real_sweeps.py camvid --data camvid_small  train, val and test.parquet: CamVid at 240x180 px
    python experiments/real_sweeps.py nuclei --data nuclei        cell nuclei, 256x256 px

First the learning rate of plain cross-entropy alone, so that the baseline is a good one; then class weights, OHEM, Dice and the
rate together around it; then the winner and the baseline over five seeds or more. Runs are short and the network is small: 20
CPU seconds each or thereabouts, one at a time. A stopped search goes on when it is called again. Words like train.steps=800
change every run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a job's own copy comes before an installed package

import rayseg  # noqa: E402
from rayseg.config import parse_assignments  # noqa: E402
from rayseg.errors import RaysegError  # noqa: E402
from rayseg.launch import SweepResult  # noqa: E402
from rayseg.space import Space, choice, log_uniform, uniform  # noqa: E402

#: U-Net on EfficientNet-lite0 with ImageNet weights, with a narrow decoder.
NETWORK: dict[str, Any] = {"model.decoder_channels": [48, 32, 24, 16, 8]}
COMMON: dict[str, Any] = {
    "train.batch_size": 4,
    "schedule.warmup.length.steps": 15,
    "eval.batch_size": 16,
    "tracking.mlflow": None,
}
SETS: dict[str, dict[str, Any]] = {
    "camvid": {  # trained and seen at about 160x120 px, judged at the size of the labels
        "data.transforms.resize.ratio_range": [0.5, 0.85],
        "data.transforms.crop.size": [96, 128],
        "eval.resize": [120, 160],
        "train.steps": 150,
        "eval.every.steps": 50,
    },
    "nuclei": {
        "data.class_names": ["background", "nucleus", "boundary"],  # its files name none
        "data.ignore_index": 255,
        "data.transforms.crop.size": [96, 96],
        "train.steps": 100,
        "eval.every.steps": 50,
    },
}
SMOKE: dict[str, Any] = {
    "data.dataset": {"type": "synthetic", "length": 8, "size": [32, 64]},
    "data.class_names": None,
    "data.ignore_index": 255,
    "data.transforms.crop.size": [32, 64],
    "model": {"type": "small_unet", "width": 4},
    "eval.resize": None,
    "schedule.warmup.length.steps": 1,
    "train.steps": 4,
    "eval.every.steps": 2,
    "tracking.pictures": 1,
}
PLAIN: dict[str, Any] = {"losses.ce.class_weight": None, "losses.dice": None, "sampling": None}
RATES = (0.001, 0.003, 0.01)


def main(words: Sequence[str] | None = None) -> None:
    """Tune, search, confirm, print."""
    args = parse_arguments(words)
    base = base_experiment(args)
    rate = tuned_rate(base, args)
    found = rayseg.sweep(
        named(base, args, "recipe"),
        space_around(rate),
        num_samples=args.num_samples,
        baseline={**PLAIN, "optim.lr": rate},
        max_concurrent=1,
        confirm={"top": 1, "seeds": min(5, args.max_seeds), "max_seeds": args.max_seeds, "smallest": 0.01},
    )
    told(found)
    print(f"\n{found.confirmation}\n\nconfirmed recipe: {found.directory / 'confirmed.yaml'}")
    print(f"the whole sweep on one page: {found.directory / 'report.html'}")


def tuned_rate(base: rayseg.ExperimentConfig, args: argparse.Namespace) -> float:
    """The learning rate at which plain cross-entropy is best, of three."""
    low, middle, high = RATES
    plain = named(base.with_(PLAIN), args, "rate")
    found = rayseg.sweep(
        plain,
        {"optim.lr": choice([low, high])},
        searcher="grid",
        scheduler=None,
        baseline={"optim.lr": middle},
        max_concurrent=1,
    )
    told(found)
    return found.best_config.optim.lr


def space_around(rate: float) -> Space:
    """What may beat plain cross-entropy."""
    return {
        "losses.ce.class_weight.power": uniform(0.0, 1.0),
        "sampling.thresh": uniform(0.5, 1.0),  # at 1 every pixel is kept
        "losses.dice.weight": choice([0.0, 0.5, 1.0, 3.0]),
        "optim.lr": log_uniform(rate / 2, rate * 2),
    }


def base_experiment(args: argparse.Namespace) -> rayseg.ExperimentConfig:
    """What all runs have in common."""
    real = {} if args.smoke else {**NETWORK, "data.dataset.path": str(Path(args.data).expanduser().resolve())}
    changes = {**COMMON, **SETS[args.set], **(SMOKE if args.smoke else real), **parse_assignments(args.overrides)}
    return rayseg.load_config(ROOT / "experiments" / "configs" / "parquet.yaml", changes)


def named(base: rayseg.ExperimentConfig, args: argparse.Namespace, what: str) -> rayseg.ExperimentConfig:
    """The base of a sweep, with its place."""
    storage = str(Path(args.storage).expanduser().resolve())
    return base.with_({"tracking.storage": storage, "tracking.name": f"{args.set}-{what}"})


def told(found: SweepResult) -> None:
    """Print the ranked table."""
    print(f"\n{found.directory.name}\n{found}", flush=True)


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=list(SETS))
    parser.add_argument("--data", metavar="DIR", help="train.parquet, val.parquet and test.parquet")
    parser.add_argument(
        "--num-samples", type=int, default=None, help="trials besides the baseline (default 12; 2 with --smoke)"
    )
    parser.add_argument(
        "--max-seeds",
        type=int,
        default=None,
        help="of the winner and the baseline; five, and more where they tell too little (default 8; 2 with --smoke)",
    )
    parser.add_argument("--storage", default="runs/real", help="checkpoints and results go under it")
    parser.add_argument("--smoke", action="store_true", help="small and short, on generated streets")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to every run")
    args = parser.parse_intermixed_args(words)
    if not args.smoke and args.data is None:
        parser.error("give --data, or --smoke")
    args.num_samples = args.num_samples or (2 if args.smoke else 12)
    args.max_seeds = args.max_seeds or (2 if args.smoke else 8)
    return args


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
