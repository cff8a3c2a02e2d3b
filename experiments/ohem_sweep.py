#!/usr/bin/env python3
"""Search OHEM, class weights, the Dice weight and the learning rate; then train the best recipe with two workers.

    python experiments/ohem_sweep.py --smoke                              a minute or two on two cores
    python experiments/ohem_sweep.py --data DIR --workers 2               DIR holds train.parquet, val.parquet
    ray job submit --working-dir . -- python experiments/ohem_sweep.py    on a cluster

Trial 0 is the baseline: plain cross-entropy. The best recipe is STORAGE/NAME/best.yaml; `rayseg train` runs it as it is.
Words like optim.lr=0.01 change the base experiment.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a job's own copy comes before an installed package

import rayseg  # noqa: E402
from rayseg.config import parse_assignments  # noqa: E402
from rayseg.errors import RaysegError  # noqa: E402
from rayseg.space import Space, choice, log_uniform, uniform  # noqa: E402

SPACE: Space = {
    "sampling.thresh": uniform(0.5, 0.95),
    "sampling.min_kept": log_uniform(0.02, 0.5),  # a fraction of the crop
    "losses.ce.class_weight.power": uniform(0.0, 1.0),
    "losses.dice.weight": choice([0.0, 0.5, 1.0, 3.0]),
    "optim.lr": log_uniform(1e-3, 1e-2),
}
BASELINE = {"sampling": None, "losses.ce.class_weight": None, "losses.dice": None}
SMOKE = {"data.dataset.length": 48, "train.steps": 45, "eval.every.steps": 15, "schedule.warmup.length.steps": 5}


def main() -> None:
    """Search, print, write, train."""
    args = parse_arguments()
    base = base_experiment(args)
    print(f"storage {base.tracking.storage}   sweep {base.tracking.name}\n", flush=True)
    grace = 30 if args.smoke and args.data == "synthetic" else None  # steps; a third of so short a run says nothing yet
    sweep = rayseg.sweep(
        base, SPACE, num_samples=args.num_samples, searcher=args.searcher, baseline=BASELINE, grace_steps=grace
    )
    best = sweep.directory / "best.yaml"
    print(f"\n{sweep}\n\nbest recipe: {best}\n\nonce more, at full length, with 2 workers:", flush=True)
    final = rayseg.train(
        sweep.best_config.with_({"scaling.workers": 2, "tracking.name": f"{base.tracking.name}-best", "tracking.text": True})
    )
    print(f"\n{base.checkpoint.best} {final.metrics[base.checkpoint.best]:.4f} with 2 workers   checkpoint {final.checkpoint}")
    print(f"best recipe: {best}\ncompare the runs: rayseg ui --storage {base.tracking.storage}")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic", help="synthetic, or a directory with train.parquet and val.parquet")
    parser.add_argument("--workers", type=int, default=1, help="workers of each trial (default 1: in the trial's own process)")
    parser.add_argument("--gpu", action="store_true", help="one GPU per worker")
    parser.add_argument(
        "--num-samples", type=int, default=None, help="trials besides the baseline (default 12; 4 with --smoke)"
    )
    parser.add_argument("--searcher", choices=["random", "optuna"], default="random")
    parser.add_argument("--storage", default=None, help="checkpoints, results and mlflow.db go under it (default runs)")
    parser.add_argument("--name", default=None, help="of the sweep; an interrupted one of that name goes on")
    parser.add_argument("--smoke", action="store_true", help="small and short")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the base experiment")
    args = parser.parse_args()
    args.num_samples = args.num_samples or (4 if args.smoke else 12)
    return args


def base_experiment(args: argparse.Namespace) -> rayseg.ExperimentConfig:
    """The experiment around which is searched."""
    synthetic = args.data == "synthetic"
    file = ROOT / "experiments" / "configs" / ("streets.yaml" if synthetic else "parquet.yaml")
    name = args.name or f"ohem-{os.getpid()}"
    changes = {
        "tracking.storage": str(Path(args.storage or default_storage()).expanduser().resolve()),
        "tracking.name": name,
        "scaling.workers": args.workers,
        "scaling.gpu": args.gpu,
        **({} if synthetic else {"data.dataset.path": str(Path(args.data).expanduser().resolve())}),
        **(SMOKE if args.smoke and synthetic else {}),
        **parse_assignments(args.overrides),
    }
    return rayseg.load_config(file, changes)


def default_storage() -> str:
    """A job's working directory is gone when it ends, so a job keeps its results in the home directory."""
    return "~/rayseg-runs" if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else "runs"


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
