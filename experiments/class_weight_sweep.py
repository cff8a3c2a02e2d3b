#!/usr/bin/env python3
"""How strongly should rare classes weigh? Median frequency to a power, the largest weight cut, with cross-entropy alone.

    python experiments/class_weight_sweep.py --smoke
    python experiments/class_weight_sweep.py --data DIR --confirm 2    DIR holds train.parquet, val.parquet and test.parquet

Two numbers are searched and not a weight per class. Trial 0 is the baseline: no weights; power 0 would be the same.
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
    "class-weights",
    {
        "losses.ce.class_weight.power": uniform(0.1, 1.0),
        "losses.ce.class_weight.clip": log_uniform(2.0, 50.0),  # no class weighs more
    },
    baseline={"losses.ce.class_weight": None},
    changes={"losses.dice": None, "sampling": None},
)


def main(words: Sequence[str] | None = None) -> None:
    """Search and print."""
    search(STUDY, arguments(__doc__, words))


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
