#!/usr/bin/env python3
"""What beside cross-entropy, and how much of it? Dice, Lovász and label smoothing.

    python experiments/loss_mix_sweep.py --smoke
    python experiments/loss_mix_sweep.py --data DIR --confirm 2    DIR holds train.parquet, val.parquet and test.parquet

Trial 0 is the baseline: cross-entropy alone. A weight of 0 is searched too, so a term has to earn its place.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]  # a job's own copy first

from rayseg.errors import RaysegError  # noqa: E402
from rayseg.space import choice  # noqa: E402
from searching import Study, arguments, search  # noqa: E402

STUDY = Study(
    "loss-mix",
    {
        "losses.dice.weight": choice([0.0, 0.5, 1.0, 3.0]),
        "losses.lovasz.weight": choice([0.0, 0.5, 1.0]),
        "losses.ce.label_smoothing": choice([0.0, 0.05, 0.1]),
    },
    baseline={"losses.dice": None, "losses.lovasz": None},
    changes={"losses.lovasz": {"type": "lovasz"}, "losses.ce.class_weight": None, "sampling": None},
)


def main(words: Sequence[str] | None = None) -> None:
    """Search and print."""
    search(STUDY, arguments(__doc__, words))


if __name__ == "__main__":
    try:
        main()
    except RaysegError as error:
        sys.exit(str(error))
