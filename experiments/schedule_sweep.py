#!/usr/bin/env python3
"""Which learning rate, over which curve, after how long a warm-up?

    python experiments/schedule_sweep.py --smoke
    python experiments/schedule_sweep.py --data DIR --confirm 2    DIR holds train.parquet, val.parquet and test.parquet

Trial 0 is the baseline: the base as its file says. The length of the run is the same for all: a schedule is a function of it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]  # a job's own copy first

from rayseg.errors import RaysegError  # noqa: E402
from rayseg.space import choice, int_uniform, log_uniform  # noqa: E402
from searching import Study, arguments, search  # noqa: E402

STUDY = Study(
    "schedule",
    {
        "optim.lr": log_uniform(3e-4, 1e-2),
        "optim.weight_decay": log_uniform(1e-5, 1e-1),
        "schedule.type": choice(["cosine", "poly"]),
        "schedule.floor": log_uniform(1e-4, 1e-1),  # at the end, of the rate
        "schedule.warmup.length.steps": int_uniform(1, 40),
    },
    baseline={},
)


def main(words: Sequence[str] | None = None) -> None:
    """Search and print."""
    search(STUDY, arguments(__doc__, words))


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
