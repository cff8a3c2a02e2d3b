"""What a sweep's runs say: tables, and differences over paired seeds and over images."""

from __future__ import annotations

from rayseg.report.confirmation import Candidate, RecipeRuns, compare, seeds_wanted, standing
from rayseg.report.confirmed_text import render_candidates
from rayseg.report.effects import Effect, effects
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
    "Candidate",
    "Difference",
    "Effect",
    "ImageInterval",
    "Judgement",
    "PairRules",
    "RecipeRuns",
    "Verdict",
    "bootstrap_images",
    "changed_values",
    "compare",
    "effects",
    "iou_of_counts",
    "judge",
    "paired_difference",
    "pairs_wanted",
    "rank_table",
    "render_candidates",
    "render_table",
    "seeds_wanted",
    "standing",
    "verdicts_of_many",
    "write_parquet",
]
