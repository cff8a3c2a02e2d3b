#!/usr/bin/env python3
"""Search OHEM, class weights, the Dice weight and the learning rate; then train the best recipe with two workers.

    python experiments/ohem_sweep.py --smoke                              a minute or two on two cores
    python experiments/ohem_sweep.py --data DIR --workers 2 --confirm 2   DIR holds train.parquet, val.parquet, test.parquet
    ray job submit --working-dir . -- python experiments/ohem_sweep.py    on a cluster

Trial 0 is the baseline: plain cross-entropy. The best recipe is STORAGE/NAME/best.yaml; `rayseg train` runs it as it is.
Words like optim.lr=0.01 change the base experiment.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]  # a job's own copy first

import rayseg  # noqa: E402
from rayseg.errors import RaysegError  # noqa: E402
from rayseg.space import choice, log_uniform, uniform  # noqa: E402
from searching import Study, arguments, search  # noqa: E402

STUDY = Study(
    "ohem",
    {
        "sampling.thresh": uniform(0.5, 0.95),
        "sampling.min_kept": log_uniform(0.02, 0.5),  # a fraction of the crop
        "losses.ce.class_weight.power": uniform(0.0, 1.0),
        "losses.dice.weight": choice([0.0, 0.5, 1.0, 3.0]),
        "optim.lr": log_uniform(1e-3, 1e-2),
    },
    baseline={"sampling": None, "losses.ce.class_weight": None, "losses.dice": None},
)


def main(words: Sequence[str] | None = None) -> None:
    """Search, print, train once more."""
    found = search(STUDY, arguments(__doc__, words))
    name, storage = found.directory.name, found.directory.parent
    print("\nonce more, at full length, with 2 workers:", flush=True)
    final = rayseg.train(
        found.best_config.with_({"scaling.workers": 2, "tracking.name": f"{name}-best", "tracking.text": True})
    )
    print(f"\n{found.metric} {final.metrics[found.metric]:.4f} with 2 workers   checkpoint {final.checkpoint}")
    print(f"best recipe: {found.directory / 'best.yaml'}\ncompare the runs: rayseg ui --storage {storage}")


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
