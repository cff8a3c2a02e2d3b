#!/usr/bin/env python3
"""A whole grid of recipes trained once, so that searchers can be compared without training.

    python experiments/surrogate.py --smoke      a grid of two, in seconds
    python experiments/surrogate.py              half an hour of one core; a stopped one goes on

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
#: The recipes that are trained with more seeds.
AGAIN = {
    "seed": choice([1, 2]),
    "optim.lr": choice([0.006, 0.015]),
    "losses.dice.weight": choice([0.0, 3.0]),
    "losses.ce.class_weight.power": choice([0.0, 0.5]),
}
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
    base = rayseg.load_config(ROOT / "experiments" / "configs" / "streets.yaml", {**CHANGES, **(SMOKE if args.smoke else {})})
    base = base.with_({"tracking.storage": str(Path(args.storage).expanduser().resolve())})
    rows = searched(base, "grid", cut(GRID) if args.smoke else GRID) + searched(
        base, "again", cut(AGAIN) if args.smoke else AGAIN
    )
    text = header(base, rows) + as_csv(rows)
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(f"{len(rows)} evaluations in {out}\n{best(rows)}")


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
        {**point_of(row), "step": step, "mIoU": round(scores["val/mIoU"], 5), "seconds": round(scores["cpu_s"], 2)}
        for row in found.table
        if row["trial"] != "baseline"
        for step, scores in curves[row["trial"]]
    ]


def point_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial was trained with, also where it was not searched."""
    return {key: row.get(key, value) for key, value in {**PLAIN, "seed": 0}.items()}


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


def best(rows: Sequence[Mapping[str, Any]]) -> str:
    """The first and the last of the recipes of seed 0 at their end."""
    last = max(row["step"] for row in rows)
    ends = sorted((row for row in rows if row["step"] == last and row["seed"] == 0), key=lambda row: -float(row["mIoU"]))
    return "\n".join(
        f"{word}: {dict(row)}" for word, row in (("best", ends[0]), ("median", ends[len(ends) // 2]), ("worst", ends[-1]))
    )


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", default="runs/surrogate", help="runs go under it")
    parser.add_argument("--out", default="runs/surrogate/surrogate_streets.csv", help="the table")
    parser.add_argument("--smoke", action="store_true", help="two recipes, four steps")
    return parser.parse_args(words)


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
