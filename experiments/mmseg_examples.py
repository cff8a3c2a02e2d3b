#!/usr/bin/env python3
"""Two examples of MMSegmentation from config files in its own words: Dice for vessels, and the parts of STDC.

    python experiments/mmseg_examples.py drive --smoke      seconds
    python experiments/mmseg_examples.py drive              generated vessels: they are not eyes
    python experiments/mmseg_examples.py drive --data nuclei --classes background nucleus boundary --size 256 256
    python experiments/mmseg_examples.py stdc --data camvid_small --classes Sky Building ... --void 11 --size 180 240

--data is a directory with train.parquet and test.parquet. The files are those of experiments/configs/mmseg: DRIVE's U-Net with
crops of 64x64 px, judged in windows of 64 px every 42, with cross-entropy or with cross-entropy and Dice 1 : 3; STDC1 with OHEM
on three heads and detail supervision on a fourth, also without either. What they say of DRIVE and Cityscapes is replaced: data,
number of classes, sizes in px, OHEM's count (by the same share of a crop), batch and length. The rest is as written. Every run
is one process without Ray and is judged once, at its end, on the test images; nothing is chosen by them. A finished run is not
repeated. Words like train.batch_size=16 change every run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a job's own copy comes before an installed package

import rayseg  # noqa: E402
from rayseg.config import parse_assignments  # noqa: E402
from rayseg.errors import RaysegError  # noqa: E402

CONFIGS = ROOT / "experiments" / "configs" / "mmseg"


@dataclass(frozen=True)
class Example:
    """What is compared, and how it is made to fit other data.

    Args:
        recipes: name -> file, and what is changed in our words.
        heads: those of as many classes as the data have.
        data: generated images.
        classes: of those.
        size: (height, width) px of an image.
        crop: (height, width) px.
        metrics: columns of the table.
        steps: of a run.
        small: the network of ``--smoke``, in MMSegmentation's words.
    """

    recipes: Mapping[str, tuple[str, Mapping[str, Any]]]
    heads: tuple[str, ...]
    data: Mapping[str, Any]
    classes: tuple[str, ...]
    size: tuple[int, int]
    crop: tuple[int, int]
    metrics: tuple[str, ...]
    steps: int
    small: Mapping[str, Any]


_STREETS = ("sky", "building", "road", "sidewalk", "vegetation", "car", "pole", "person", "sign")
_STDC_HEADS = ("decode_head", "auxiliary_head.0", "auxiliary_head.1")
#: Of 10,000 px in a crop of 512x1024.
_KEPT_SHARE = 10_000 / (512 * 1024)
_ALL_PIXELS = {f"heads.auxiliary_{index}.sampling": {"type": "all_pixels"} for index in (0, 1)}
_NO_DETAIL = {"heads.auxiliary_2.weight": 0.0}

EXAMPLES = {
    "drive": Example(
        recipes={"CE": ("unet_4xb4_drive.py", {}), "CE : Dice = 1 : 3": ("unet_4xb4_drive_ce-dice.py", {})},
        heads=("decode_head", "auxiliary_head"),
        data={"type": "synthetic_vessels", "length": 20},
        classes=("background", "vessel"),
        size=(292, 283),
        crop=(64, 64),
        metrics=("mDice", "mIoU", "aAcc", "Dice"),
        steps=300,
        small={"backbone.base_channels": 4, "decode_head.in_channels": 4, "auxiliary_head.in_channels": 8},
    ),
    "stdc": Example(
        recipes={
            "OHEM and detail": ("stdc1_4xb12_cityscapes.py", {}),
            "OHEM": ("stdc1_4xb12_cityscapes.py", _NO_DETAIL),
            "detail": ("stdc1_4xb12_cityscapes.py", {"sampling": None, **_ALL_PIXELS}),
            "neither": ("stdc1_4xb12_cityscapes.py", {"sampling": None, **_ALL_PIXELS, **_NO_DETAIL}),
        },
        heads=_STDC_HEADS,
        data={"type": "synthetic", "length": 40, "size": (128, 256)},
        classes=_STREETS,
        size=(180, 240),
        crop=(128, 192),
        metrics=("mIoU", "mAcc", "aAcc"),
        steps=400,
        small={},
    ),
}


def main() -> None:
    """Train what is missing, then print the table."""
    args = parse_arguments()
    example = EXAMPLES[args.example]
    warnings.filterwarnings("ignore", message=".*norms are not synchronised")
    scores = {
        (name, seed): trained(args, example, name, file, changes, seed)
        for seed in args.seeds
        for name, (file, changes) in example.recipes.items()
        if name in args.only
    }
    print(table(scores, args.only, args.seeds, example.metrics))


def trained(
    args: argparse.Namespace, example: Example, name: str, file: str, changes: Mapping[str, Any], seed: int
) -> dict[str, float]:
    """Scores of one run on the test images."""
    words = "-".join("".join(character if character.isalnum() else " " for character in name).split())
    run = {"seed": seed, "tracking.name": f"{args.example}-{words}-{seed}", "tracking.storage": args.storage}
    length = {f"{key}.steps": args.steps for key in ("train", "eval.every", "checkpoint.every")}
    config = rayseg.load_config(
        CONFIGS / file,
        {**fitted(args, example), **run, **length, **changes, **parse_assignments(args.overrides)},
        cfg_options=options(args, example),
    )
    result = rayseg.train(config)
    scores = {key.removeprefix("val/"): value for key, value in result.metrics.items()}
    print(f"seed {seed}  {name:<18}" + "".join(f"  {key} {scores[key]:.4f}" for key in example.metrics[:3]), flush=True)
    return scores


def options(args: argparse.Namespace, example: Example) -> dict[str, Any]:
    """Changes in MMSegmentation's words: network, samplers, the clock of a schedule that has a warm-up."""
    model: dict[str, Any] = {f"{head}.num_classes": len(args.classes) for head in example.heads}
    model |= example.small if args.smoke else {}
    if args.example == "drive":
        return {f"model.{key}": value for key, value in model.items()}
    kept, warmup = round(_KEPT_SHARE * example.crop[0] * example.crop[1]), max(1, args.steps // 80)
    model |= {f"{head}.sampler.min_kept": kept for head in example.heads}
    ends = {"param_scheduler.0.end": warmup, "param_scheduler.1.begin": warmup, "param_scheduler.1.end": args.steps}
    return {**{f"model.{key}": value for key, value in model.items()}, **ends, "train_cfg.max_iters": args.steps}


def fitted(args: argparse.Namespace, example: Example) -> dict[str, Any]:
    """Changes in our words: the data, what depends on their size, a short run in this process."""
    made_up = {**example.data, "length": 4} if args.smoke else dict(example.data)
    if args.example == "drive":
        made_up["size"] = args.size
    return {
        "data.dataset": made_up if args.data is None else real(args),
        "data.ignore_index": args.void,
        "data.val_split": "test",
        "data.num_workers": 0,
        "data.pad_size": example.crop,
        "data.transforms.random_resize.scale": args.size,
        "data.transforms.random_crop.size": example.crop,
        "eval.resize": None,
        "train.batch_size": args.batch,
        "train.threads": 1,
        "tracking.text": False,
        "tracking.mlflow": None,
    }


def real(args: argparse.Namespace) -> dict[str, Any]:
    """Parquet files."""
    return {"type": "parquet", "path": str(Path(args.data).expanduser().resolve()), "classes": args.classes}


def table(
    scores: Mapping[tuple[str, int], Mapping[str, float]], names: list[str], seeds: list[int], metrics: tuple[str, ...]
) -> str:
    """Means over seeds, as Markdown; a metric of classes has a column for each."""
    columns = [key for metric in metrics for key in scores[names[0], seeds[0]] if key == metric or key.startswith(f"{metric}/")]
    lines = [f"| recipe | seeds | {' | '.join(columns)} |", "| --- " * (len(columns) + 2) + "|"]
    for name in names:
        cells = [f"{statistics.mean(scores[name, seed][column] for seed in seeds):.4f}" for column in columns]
        lines.append(f"| {name} | {' '.join(map(str, seeds))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", choices=list(EXAMPLES))
    parser.add_argument("--data", metavar="DIR", help="train.parquet and test.parquet; default: generated images")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="of the data, in the order of their labels")
    parser.add_argument("--void", type=int, default=255, metavar="LABEL", help="of pixels without a label")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of the images, px")
    parser.add_argument("--steps", type=int, metavar="N", help="of every run; with --smoke 2")
    parser.add_argument("--batch", type=int, default=4, metavar="N", help="images in a step")
    parser.add_argument("--only", nargs="+", metavar="RECIPE", help="some of the recipes, by their names in the table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--storage", default="runs/mmseg", help="checkpoints and results go under it")
    parser.add_argument("--smoke", action="store_true", help="small and short, on generated images")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to every run")
    args = parser.parse_intermixed_args()
    example = EXAMPLES[args.example]
    if args.data is not None and args.classes is None:
        parser.error("give --classes with --data")
    if unknown := set(args.only or ()) - set(example.recipes):
        parser.error(f"--only {', '.join(map(repr, sorted(unknown)))}: the recipes are {', '.join(map(repr, example.recipes))}")
    args.only = args.only or list(example.recipes)
    args.storage = str(Path(args.storage).expanduser().resolve())
    args.classes = args.classes or list(example.classes)
    args.size = tuple(args.size or ((96, 80) if args.smoke else example.size))
    args.steps = args.steps or (2 if args.smoke else example.steps)
    return args


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
