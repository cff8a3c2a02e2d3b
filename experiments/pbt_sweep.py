#!/usr/bin/env python3
"""Which rate, decay and loss weights, and when? A population whose worst members go on with the weights of the best.

    python experiments/pbt_sweep.py --smoke
    python experiments/pbt_sweep.py --data DIR --confirm 1     DIR holds train.parquet, val.parquet and test.parquet
    python experiments/pbt_sweep.py --scheduler pb2            recipes by a model of what was gained, not by chance

--num-samples is the size of the population. Trial 0 is the baseline, which is no member and keeps its recipe. The recipe of the
winner changed over the steps: STORAGE/NAME/schedule.yaml has all of it, and this trains it again:
`rayseg train best.yaml --schedule schedule.yaml`. The schedule of the rate is constant: a population can find its decay itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]  # a job's own copy first

from rayseg.errors import RaysegError  # noqa: E402
from rayseg.space import log_uniform, uniform  # noqa: E402
from searching import Study, arguments, search  # noqa: E402

STUDY = Study(
    "pbt",
    {
        "optim.lr": log_uniform(3e-5, 1e-2),
        "optim.weight_decay": log_uniform(1e-5, 1e-1),
        "losses.ce.class_weight.power": uniform(0.0, 1.0),
        "losses.dice.weight": uniform(0.0, 3.0),
    },
    baseline={"schedule.type": "cosine", "losses.ce.class_weight": None, "losses.dice": None},
    changes={"schedule": {"type": "constant", "warmup": {"length": {"steps": 30}}}},
    scheduler="pbt",
)


def main(words: Sequence[str] | None = None) -> None:
    """Search, print, and tell how the winner's recipe changed."""
    found = search(STUDY, arguments(__doc__, words))
    print(f"\nthe recipe of {found.best_name} by step, {found.directory / 'schedule.yaml'}:")
    for part in found.schedule:
        values = ", ".join(f"{key} {value:.3g}" for key, value in part["recipe"].items())
        print(f"  {part['from']:>5} to {part['until']:>5}  {part['run']:<9} {values}")


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
