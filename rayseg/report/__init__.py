"""What a sweep's runs say: tables, and differences over paired seeds and over images."""

from __future__ import annotations

from rayseg.report.image_bootstrap import ImageInterval, bootstrap_images, iou_of_counts
from rayseg.report.paired import (
    Difference,
    Judgement,
    PairRules,
    Verdict,
    judge,
    paired_difference,
    pairs_wanted,
    verdicts_of_many,
)
from rayseg.report.table import changed_values, rank_table, render_table, write_parquet

__all__ = [
    "Difference",
    "ImageInterval",
    "Judgement",
    "PairRules",
    "Verdict",
    "bootstrap_images",
    "changed_values",
    "iou_of_counts",
    "judge",
    "paired_difference",
    "pairs_wanted",
    "rank_table",
    "render_table",
    "verdicts_of_many",
    "write_parquet",
]
