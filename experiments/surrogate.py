#!/usr/bin/env python3
"""A whole grid of recipes trained once, so that searchers can be compared without training.

    python experiments/surrogate.py --smoke      a grid of two, in seconds
    python experiments/surrogate.py              half an hour of one core; a stopped one goes on
    python experiments/surrogate.py --read experiments/benchmarks/surrogate_streets.csv    what the recorded one says

Learning rate, weight of Dice, OHEM's threshold and power of the class weights on synthetic streets of 48x96 px: 108 recipes
with seed 0, every evaluation kept, and eight of them with two seeds more, which tell how much of a difference is the seed's.
The table is a row per evaluation: the searched keys, ``seed``, ``step``, ``mIoU``, ``seconds`` (CPU time since the run began,
evaluations included). A threshold of 1 keeps every pixel: no OHEM. What it was made with is in the lines that begin with ``#``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a job's own copy comes before an installed package

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy.stats import spearmanr  # noqa: E402

import rayseg  # noqa: E402
from rayseg.errors import RaysegError  # noqa: E402
from rayseg.launch.provenance import git_state, package_versions  # noqa: E402
from rayseg.space import Choice, choice  # noqa: E402

GRID = {
    "optim.lr": choice([0.0025, 0.006, 0.015, 0.04]),
    "losses.dice.weight": choice([0.0, 0.5, 3.0]),
    "sampling.thresh": choice([1.0, 0.9, 0.7]),
    "losses.ce.class_weight.power": choice([0.0, 0.5, 1.0]),
}
#: The recipes that are trained with more seeds, and those seeds.
AGAIN = {
    "optim.lr": choice([0.006, 0.015]),
    "losses.dice.weight": choice([0.0, 3.0]),
    "losses.ce.class_weight.power": choice([0.0, 0.5]),
}
SEEDS = (1, 2)
#: Trials of a search that is imagined on the table.
DRAWN = 12
PLAIN = {key: dimension.ends[0] for key, dimension in GRID.items()}
CHANGES: dict[str, Any] = {
    "data.dataset": {"type": "synthetic", "length": 96, "size": [48, 96]},
    "model.width": 8,
    **PLAIN,
    "schedule.warmup.length.steps": 16,
    "train.steps": 160,
    "eval.every.steps": 32,
    "hooks": {"stopwatch": {"type": "stopwatch"}},
    "tracking.mlflow": None,
    "tracking.pictures": 0,
}
SMOKE: dict[str, Any] = {
    "data.dataset": {"type": "synthetic", "length": 8, "size": [32, 64]},
    "model.width": 4,
    "schedule.warmup.length.steps": 1,
    "train.batch_size": 4,
    "train.steps": 4,
    "eval.every.steps": 2,
}


class Stopwatch:
    """CPU time of the process since the run began, as a metric of every evaluation; goes on where a stopped run goes on."""

    def __init__(self) -> None:
        self.before = 0.0
        self.began = time.process_time()

    def on_start(self, run: object) -> None:  # noqa: ARG002
        """Begin to count."""
        self.began = time.process_time()

    def on_eval(self, run: object, metrics: dict[str, float]) -> None:  # noqa: ARG002
        """Tell."""
        metrics["cpu_s"] = self._spent()

    def _spent(self) -> float:
        return self.before + time.process_time() - self.began

    def state_dict(self) -> dict[str, float]:
        """The time so far."""
        return {"spent": self._spent()}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """The time of the part before."""
        self.before = state["spent"]


def main(words: Sequence[str] | None = None) -> None:
    """Train what is missing, then write the table."""
    args = parse_arguments(words)
    if args.read is not None:
        print(told(read_table(Path(args.read))))
        return
    base = rayseg.load_config(ROOT / "experiments" / "configs" / "streets.yaml", {**CHANGES, **(SMOKE if args.smoke else {})})
    base = base.with_({"tracking.storage": str(Path(args.storage).expanduser().resolve())})
    grid, again = (cut(GRID), cut(AGAIN)) if args.smoke else (GRID, AGAIN)
    rows = searched(base, "grid", grid)
    seeds = SEEDS[:1] if args.smoke else SEEDS
    rows += [row for seed in seeds for row in searched(base.with_({"seed": seed}), f"again-{seed}", again)]
    text = header(base, rows) + as_csv(rows)
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(f"{len(rows)} evaluations in {out}\n{told(rows)}")


def searched(base: rayseg.ExperimentConfig, name: str, space: Mapping[str, Choice]) -> list[dict[str, Any]]:
    """Every evaluation of every trial of a grid; trial 0 is a point of the grid, and is left out."""
    config = base.with_({"tracking.name": f"surrogate-{name}"})
    found = rayseg.sweep(
        config,
        space,
        searcher="grid",
        scheduler=None,
        baseline=PLAIN,
        max_concurrent=1,  # alone on its core, so that times can be compared
        components={"stopwatch": Stopwatch},
    )
    if failed := [row["trial"] for row in found.table if row["rank"] is None]:
        raise RaysegError(f"trials without a score: {', '.join(failed)}; look into {found.directory}")
    curves = found.curves()
    return [
        {
            **point_of(row),
            "seed": base.seed,
            "step": step,
            "mIoU": round(scores["val/mIoU"], 5),
            "seconds": round(scores["cpu_s"], 2),
        }
        for row in found.table
        if row["trial"] != "baseline"
        for step, scores in curves[row["trial"]]
    ]


def point_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial was trained with, also where it was not searched."""
    return {key: row.get(key, value) for key, value in PLAIN.items()}


def cut(space: Mapping[str, Choice]) -> dict[str, Choice]:
    """A grid of two: both ends of the first dimension, one value of the others."""
    first = next(iter(space))
    return {key: choice([each.ends[0], each.ends[-1]] if key == first else each.ends[:1]) for key, each in space.items()}


def header(base: rayseg.ExperimentConfig, rows: Sequence[Mapping[str, Any]]) -> str:
    """What it was made with."""
    told = {key: value for key, value in base.to_dict().items() if key != "tracking"}
    digest = hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16).hexdigest()
    state, today = git_state(ROOT) or {"commit": "unknown", "dirty": True}, time.strftime("%Y-%m-%d", time.gmtime())
    spent = sum(row["seconds"] for row in rows if row["step"] == base.train.steps)
    lines = [
        f"synthetic streets, {base.train.steps} steps; made by experiments/surrogate.py on {today}",
        f"commit {state['commit'][:12]}{' with changes' if state['dirty'] else ''}; config {digest}",
        ", ".join(f"{name} {version}" for name, version in package_versions().items()),
        f"{platform.machine()}, one thread; {spent:.0f} CPU seconds in all",
    ]
    return "".join(f"# {line}\n" for line in lines)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table, in the order of the grid."""
    columns = list(rows[0])
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: [row[column] for column in ["seed", *columns]]))
    return text.getvalue()


def told(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the table says: its ends, how much of the order an early evaluation shows, what a seed does."""
    points, curves = curves_of(rows)
    end = curves[0][:, -1]
    first, middle, last = (points[place] for place in np.argsort(-end)[[0, len(end) // 2, -1]])
    lines = [f"{word:<7} {text}" for word, text in (("best", first), ("median", middle), ("worst", last))]
    lines += [
        "",
        f"of {DRAWN} recipes drawn at random the best third goes on after an evaluation, the others end there; mean of 4000",
    ]
    lines += ["".join(f"{word:>10}" for word in ("step", "order", "found", "steps", "whole"))]
    steps = sorted({int(row["step"]) for row in rows})
    for place, step in enumerate(steps):
        found, spent = cut_at(curves[0], steps, place)
        whole = cut_at(curves[0], steps, len(steps) - 1, num=max(1, round(spent * DRAWN)))[0]
        order = spearmanr(curves[0][:, place], end).statistic
        lines.append(f"{step:>10}{order:>10.2f}{found:>10.3f}{spent:>10.0%}{whole:>10.3f}")
    return "\n".join([*lines, "", *seeds_told(points, curves)])


def curves_of(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], dict[int, NDArray[np.float64]]]:
    """Recipes; seed -> mIoU by recipe and evaluation, NaN where it was not trained."""
    points = list(dict.fromkeys(_words(row) for row in rows))
    steps, seeds = (sorted({int(row[key]) for row in rows}) for key in ("step", "seed"))
    curves = {seed: np.full((len(points), len(steps)), np.nan) for seed in seeds}
    for row in rows:
        curves[int(row["seed"])][points.index(_words(row)), steps.index(int(row["step"]))] = float(row["mIoU"])
    whole = ~np.isnan(curves[0][:, -1])
    return [each for each, there in zip(points, whole, strict=True) if there], {
        seed: curve[whole] for seed, curve in curves.items()
    }


def _words(row: Mapping[str, Any]) -> str:
    return "  ".join(f"{key}={float(row[key]):g}" for key in GRID)


def cut_at(curve: NDArray[np.float64], steps: Sequence[int], place: int, num: int = DRAWN) -> tuple[float, float]:
    """Mean score of the winner when the best third of some recipes goes on from an evaluation, and the share of steps."""
    rng = np.random.default_rng(0)
    drawn = rng.permuted(np.tile(np.arange(len(curve)), (4000, 1)), axis=1)[:, :num]
    kept = np.argsort(-curve[drawn, place], axis=1)[:, : max(1, num // 3)]
    share = steps[place] / steps[-1]
    return float(curve[drawn[np.arange(len(drawn))[:, None], kept], -1].max(1).mean()), share + (1 - share) / 3


def seeds_told(points: Sequence[str], curves: Mapping[int, NDArray[np.float64]]) -> list[str]:
    """Last scores of the recipes that were trained with every seed, and their standard deviation."""
    ends = np.stack([curve[:, -1] for curve in curves.values()], axis=1)
    again = [(point, row) for point, row in zip(points, ends, strict=True) if not np.isnan(row).any()]
    return [f"{point}  {' '.join(f'{each:.3f}' for each in row)}  deviation {row.std(ddof=1):.4f}" for point, row in again]


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a table that was written."""
    return list(csv.DictReader(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")))


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", default="runs/surrogate", help="runs go under it")
    parser.add_argument("--out", default="runs/surrogate/surrogate_streets.csv", help="the table")
    parser.add_argument("--read", metavar="TABLE", help="train nothing; say what a table says")
    parser.add_argument("--smoke", action="store_true", help="two recipes, four steps")
    return parser.parse_args(words)


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
