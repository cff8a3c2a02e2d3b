"""What the searches of this directory share: the command line, the base experiment, the search, what is printed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rayseg
from rayseg.config import parse_assignments
from rayseg.launch import SweepResult
from rayseg.launch.request import Scheduler
from rayseg.space import Space

__all__ = ["Study", "arguments", "search"]

CONFIGS = Path(__file__).resolve().parent / "configs"
SMOKE = {"data.dataset.length": 48, "train.steps": 45, "eval.every.steps": 15, "schedule.warmup.length.steps": 5}
SMOKE_CONFIRM = {"seeds": 2, "max_seeds": 2}  # so few tell nothing; it runs


@dataclass(frozen=True)
class Study:
    """A question to recipes.

    Args:
        name: of its sweeps, before the number of the process.
        space: what is searched.
        baseline: overrides of trial 0 on top of the base.
        changes: overrides of the base, on top of the file.
        scheduler: what becomes of bad trials, where the command line does not say it.
    """

    name: str
    space: Space
    baseline: Mapping[str, Any]
    changes: Mapping[str, Any] = field(default_factory=dict)
    scheduler: Scheduler = "asha"


def arguments(description: str | None, words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic", help="synthetic, or a directory with train.parquet and val.parquet")
    parser.add_argument("--workers", type=int, default=1, help="workers of each trial (default 1: in the trial's own process)")
    parser.add_argument("--gpu", action="store_true", help="one GPU per worker")
    parser.add_argument(
        "--num-samples", type=int, default=None, help="trials besides the baseline (default 12; 4 with --smoke)"
    )
    parser.add_argument("--searcher", choices=["random", "optuna"], default="random")
    parser.add_argument("--scheduler", choices=["asha", "pbt", "pb2"], default=None, help="default: that of the question")
    parser.add_argument(
        "--confirm",
        type=int,
        default=None,
        metavar="TOP",
        help="train so many recipes again over paired seeds, and the baseline",
    )
    parser.add_argument("--storage", default=None, help="checkpoints, results and mlflow.db go under it (default runs)")
    parser.add_argument("--name", default=None, help="of the sweep; an interrupted one of that name goes on")
    parser.add_argument("--smoke", action="store_true", help="small and short")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the base experiment")
    args = parser.parse_args(words)
    args.num_samples = args.num_samples or (4 if args.smoke else 12)
    return args


def search(study: Study, args: argparse.Namespace) -> SweepResult:
    """Search, confirm if that is asked for, and print both tables."""
    base = base_experiment(study, args)
    scheduler = args.scheduler or study.scheduler
    print(f"storage {base.tracking.storage}   sweep {base.tracking.name}\n", flush=True)
    short = args.smoke and args.data == "synthetic" and scheduler == "asha"
    grace = 30 if short else None  # steps; a third of so short a run says nothing yet
    confirm = None if args.confirm is None else {"top": args.confirm, **(SMOKE_CONFIRM if args.smoke else {})}
    found = rayseg.sweep(
        base,
        study.space,
        num_samples=args.num_samples,
        searcher=args.searcher,
        scheduler=scheduler,
        baseline=study.baseline,
        grace_steps=grace,
        confirm=confirm,
    )
    print(f"\n{found}\n\nbest recipe: {found.directory / 'best.yaml'}", flush=True)
    if found.confirmation is not None:
        print(f"\n{found.confirmation}\n\nconfirmed recipe: {found.directory / 'confirmed.yaml'}", flush=True)
    print(f"\nthe whole sweep on one page: {found.directory / 'report.html'}", flush=True)
    return found


def base_experiment(study: Study, args: argparse.Namespace) -> rayseg.ExperimentConfig:
    """The experiment around which is searched."""
    synthetic = args.data == "synthetic"
    changes = {
        **study.changes,
        "tracking.storage": str(Path(args.storage or default_storage()).expanduser().resolve()),
        "tracking.name": args.name or f"{study.name}-{os.getpid()}",
        "scaling.workers": args.workers,
        "scaling.gpu": args.gpu,
        **({} if synthetic else {"data.dataset.path": str(Path(args.data).expanduser().resolve())}),
        **(SMOKE if args.smoke and synthetic else {}),
        **parse_assignments(args.overrides),
    }
    return rayseg.load_config(CONFIGS / ("streets.yaml" if synthetic else "parquet.yaml"), changes)


def default_storage() -> str:
    """A job's working directory is gone when it ends, so a job keeps its results in the home directory."""
    return "~/rayseg-runs" if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else "runs"
