"""Tables of a sweep's runs."""

from __future__ import annotations

from rayseg.report.table import changed_values, rank_table, render_table, write_parquet

__all__ = ["changed_values", "rank_table", "render_table", "write_parquet"]
