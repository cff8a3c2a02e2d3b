"""What a sweep's runs say: tables, differences over paired seeds and over images, effects of keys, one page of it all."""

from __future__ import annotations

from rayseg.report.confirmation import Candidate, RecipeRuns, compare, seeds_wanted, standing
from rayseg.report.confirmed_text import explain_candidate, render_candidates
from rayseg.report.effects import Effect, effects
from rayseg.report.image_bootstrap import ImageInterval, bootstrap_images, iou_of_counts
from rayseg.report.page import render_report, verdict
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
from rayseg.report.pareto import on_front
from rayseg.report.records import ShownImage, SweepRecords, TrialRecord
from rayseg.report.table import changed_values, markdown_table, rank_table, render_table, shortest_endings, write_parquet
from rayseg.report.use import ClusterUse, Span, cluster_use

__all__ = [
    "Candidate",
    "ClusterUse",
    "Difference",
    "Effect",
    "ImageInterval",
    "Judgement",
    "PairRules",
    "RecipeRuns",
    "ShownImage",
    "Span",
    "SweepRecords",
    "TrialRecord",
    "Verdict",
    "bootstrap_images",
    "changed_values",
    "cluster_use",
    "compare",
    "effects",
    "explain_candidate",
    "iou_of_counts",
    "judge",
    "markdown_table",
    "on_front",
    "paired_difference",
    "pairs_wanted",
    "rank_table",
    "render_candidates",
    "render_report",
    "render_table",
    "seeds_wanted",
    "shortest_endings",
    "standing",
    "verdict",
    "verdicts_of_many",
    "write_parquet",
]
