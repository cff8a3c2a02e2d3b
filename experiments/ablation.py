#!/usr/bin/env python3
"""What does each training trick do, alone and together? The same runs over several seeds, mean and standard deviation.

    python experiments/ablation.py --smoke                     minutes on generated streets
    python experiments/ablation.py --data DIR --seeds 0 1 2    DIR holds train.parquet, val.parquet and test.parquet

Every run is one process without Ray, so that runs of equal seed differ in their recipe only. A finished run is not repeated:
the table is read from STORAGE/ablation.jsonl. Words like train.steps=800 change every run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a job's own copy comes before an installed package

import rayseg  # noqa: E402
from rayseg.config import parse_assignments  # noqa: E402
from rayseg.errors import RaysegError  # noqa: E402

CROSS_ENTROPY: dict[str, Any] = {"losses": {"ce": {"type": "cross_entropy"}}, "sampling": None}
CLASS_WEIGHTS = {"losses.ce.class_weight": {"type": "median_frequency", "power": 0.5}}
OHEM = {"sampling": {"type": "ohem", "thresh": 0.7, "min_kept": 0.1}}
DICE = {"losses.dice": {"type": "dice", "weight": 3.0}}
HEAD_RATE = {"optim.groups.head": {"match": "head", "lr_mult": 10.0}}

RECIPES: dict[str, dict[str, Any]] = {
    "cross-entropy": {},
    "+ class weights": CLASS_WEIGHTS,
    "+ OHEM": OHEM,
    "+ Dice 1:3": DICE,
    "+ head lr x10": HEAD_RATE,
    "all of them": {**CLASS_WEIGHTS, **OHEM, **DICE, **HEAD_RATE},
}
SMOKE = {
    "data.dataset.length": 8,
    "data.dataset.size": [64, 128],
    "train.steps": 6,
    "eval.every.steps": 6,
    "schedule.warmup.length.steps": 2,
}
COLUMNS = ("val/mIoU", "test/mIoU", "test/aAcc")


def main() -> None:
    """Train what is missing, then print the table."""
    args = parse_arguments()
    storage = Path(args.storage).expanduser().resolve()
    storage.mkdir(parents=True, exist_ok=True)
    done = storage / "ablation.jsonl"
    for seed in args.seeds:
        for recipe, changes in RECIPES.items():
            if (recipe, seed) not in finished(done):
                scores = run(args, storage, recipe, seed, changes)
                with done.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"recipe": recipe, "seed": seed, **scores}) + "\n")
                print(f"seed {seed}  {recipe:<16}" + "".join(f"  {name} {scores[name]:.4f}" for name in COLUMNS), flush=True)
    print("\n" + table(finished(done)))


def run(args: argparse.Namespace, storage: Path, recipe: str, seed: int, changes: dict[str, Any]) -> dict[str, float]:
    """Scores of one recipe with one seed, on validation and on test."""
    words = "-".join(recipe.replace("+", "").replace(":", "").split())
    synthetic = args.data == "synthetic"
    config = rayseg.load_config(
        ROOT / "experiments" / "configs" / ("streets.yaml" if synthetic else "parquet.yaml"),
        {
            "seed": seed,
            "tracking.storage": str(storage),
            "tracking.name": f"{words}-{seed}",
            "tracking.text": False,
            **({} if synthetic else {"data.dataset.path": str(Path(args.data).expanduser().resolve())}),
            **(SMOKE if args.smoke else {}),
            **CROSS_ENTROPY,
            **changes,
            **parse_assignments(args.overrides),
        },
    )
    result = rayseg.train(config)
    assert result.checkpoint is not None
    return {**result.metrics, **rayseg.evaluate(result.checkpoint, split="test")}


def finished(done: Path) -> dict[tuple[str, int], dict[str, float]]:
    """Scores by recipe and seed."""
    lines = done.read_text(encoding="utf-8").splitlines() if done.is_file() else []
    return {(row["recipe"], row["seed"]): row for row in map(json.loads, lines)}


def table(rows: dict[tuple[str, int], dict[str, float]]) -> str:
    """Mean and standard deviation over seeds, and the paired difference to plain cross-entropy on test, as Markdown."""
    lines = [
        "| recipe | seeds | " + " | ".join(COLUMNS) + " | test/mIoU, paired difference |",
        "| --- " * (len(COLUMNS) + 3) + "|",
    ]
    for recipe in RECIPES:
        mine = {seed: row for (name, seed), row in rows.items() if name == recipe}
        paired = [row["test/mIoU"] - rows["cross-entropy", seed]["test/mIoU"] for seed, row in mine.items()]
        cells = [spread([row[column] for row in mine.values()]) for column in COLUMNS]
        lines.append(f"| {recipe} | {len(mine)} | " + " | ".join(cells) + f" | {spread(paired, sign='+')} |")
    return "\n".join(lines)


def spread(values: list[float], sign: str = "") -> str:
    """Mean ± sample standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):{sign}.3f} ± {deviation:.3f}"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic", help="synthetic, or a directory with train, val and test.parquet")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--storage", default="runs/ablation", help="checkpoints, results and mlflow.db go under it")
    parser.add_argument("--smoke", action="store_true", help="small and short")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to every run")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
