"""How far rounding drives whole runs apart, beside what the seed does.

Every step is the same function of the global batch for any number of workers, but sums are taken in another order, and training
amplifies rounding. This trains a small net once with 1, 2 and 3 workers on the same seed, and with more seeds on 1 worker:

    python experiments/benchmarks/drift.py --out drift.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rayseg.build import assemble
from rayseg.engine import LocalReporter, fit
from rayseg.testing import run_distributed, tiny_experiment

RECIPE: dict[str, Any] = {
    "data.dataset": {"type": "synthetic", "length": 48, "size": [48, 64]},
    "model": {"type": "small_unet", "width": 8, "depth": 3, "dropout": 0.1},
    "losses.dice": {"type": "dice"},
    "sampling": {"type": "ohem", "min_kept": 0.2},
    "optim.lr": 0.01,
    "train.batch_size": 6,
    "train.log_every": 20,
}
METRICS = ("val/mIoU", "val/aAcc", "val/loss")


def train(seed: int, steps: int) -> tuple[dict[str, float], dict[str, Tensor]]:
    """One run: final metrics and weights."""
    config = tiny_experiment(**{**RECIPE, "seed": seed, "train.steps": steps, "eval.every": steps})
    with tempfile.TemporaryDirectory() as folder:
        run = assemble(config, LocalReporter(Path(folder))).fit
        metrics = fit(run)
    return metrics, {name: parameter.detach() for name, parameter in run.state.model.named_parameters()}


def distance(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """Norm of the difference of all weights over the norm of the weights."""
    flat = [torch.cat([each[name].double().flatten() for name in theirs]) for each in (ours, theirs)]
    return float((flat[0] - flat[1]).norm() / flat[1].norm())


def measure(seeds: Sequence[int], steps: int, workers: Sequence[int]) -> dict[str, Any]:
    """Metrics of every run, and the distance of its weights from the run of the first seed on one worker."""
    runs: dict[str, Any] = {}
    torch.set_num_threads(1)
    reference, weights = train(seeds[0], steps)
    for count in workers:
        metrics, found = run_distributed(train, count, seeds[0], steps, timeout_s=900.0)[0]
        runs[f"{count} workers, seed {seeds[0]}"] = _row(metrics, distance(found, weights))
    for seed in seeds[1:]:
        metrics, found = train(seed, steps)
        runs[f"1 worker, seed {seed}"] = _row(metrics, distance(found, weights))
    return {"steps": steps, "recipe": RECIPE, "runs": {f"1 worker, seed {seeds[0]}": _row(reference, 0.0), **runs}}


def _row(metrics: Mapping[str, float], weights: float) -> dict[str, float]:
    return {**{name: metrics[name] for name in METRICS}, "weights": weights}


def summary(measured: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, dict[str, float]]:
    """Of each metric: largest difference between numbers of workers, range and standard deviation between seeds."""
    runs: dict[str, dict[str, float]] = measured["runs"]
    first = f"1 worker, seed {seeds[0]}"
    by_workers = [row for name, row in runs.items() if name.endswith(f"seed {seeds[0]}")]
    by_seed = [row for name, row in runs.items() if name.startswith("1 worker,")]
    return {
        metric: {
            "workers": max(abs(row[metric] - runs[first][metric]) for row in by_workers),
            "seeds": max(row[metric] for row in by_seed) - min(row[metric] for row in by_seed),
            "seeds_std": statistics.stdev(row[metric] for row in by_seed),
        }
        for metric in (*METRICS, "weights")
    }


def table(measured: Mapping[str, Any], drift: Mapping[str, Mapping[str, float]]) -> str:
    """Both as text."""
    names = (*METRICS, "weights")
    lines = [f"{'run':<20}" + "".join(f"{name:>14}" for name in names)]
    lines += [f"{run:<20}" + "".join(f"{row[name]:>14.6f}" for name in names) for run, row in measured["runs"].items()]
    lines += ["", f"{'between':<20}" + "".join(f"{name:>14}" for name in names)]
    rows = {"workers (largest)": "workers", "seeds (range)": "seeds"}
    lines += [f"{title:<20}" + "".join(f"{drift[name][key]:>14.2e}" for name in names) for title, key in rows.items()]
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, at least 2")
    parser.add_argument("--workers", type=int, nargs="*", default=[2, 3])
    parser.add_argument("--out", type=Path, default=Path("drift.json"))
    parser.add_argument("--smoke", action="store_true", help="three steps, two seeds")
    options = parser.parse_args()
    seeds, steps = (range(2), 3) if options.smoke else (range(options.seeds), options.steps)
    measured = measure(seeds, steps, options.workers)
    drift = summary(measured, seeds)
    print(table(measured, drift))
    options.out.write_text(json.dumps({**measured, "drift": drift}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
