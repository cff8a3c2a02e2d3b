from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rayseg.report import changed_values, rank_table, render_table, write_parquet


def test_ties_share_a_rank_and_the_unmeasured_come_last() -> None:
    rows: list[dict[str, Any]] = [
        {"n": "nan", "m": math.nan},
        {"n": "b", "m": 0.5},
        {"n": "none"},
        {"n": "a", "m": 0.7},
        {"n": "c", "m": 0.5},
        {"n": "d", "m": 0.1},
    ]
    ranked = rank_table(rows, "m", "max")
    assert [(row["rank"], row["n"]) for row in ranked] == [
        (1, "a"),
        (2, "b"),
        (2, "c"),
        (4, "d"),
        (None, "nan"),
        (None, "none"),
    ]


def test_min_ranks_the_smallest_first_and_keeps_every_value() -> None:
    ranked = rank_table([{"loss": 2.0, "x": 1}, {"loss": 0.0, "x": 2}], "loss", "min")
    assert ranked == [{"rank": 1, "loss": 0.0, "x": 2}, {"rank": 2, "loss": 2.0, "x": 1}]


def test_ranking_does_not_change_its_input() -> None:
    rows = [{"m": 1.0}, {"m": 2.0}]
    rank_table(rows, "m", "max")
    assert rows == [{"m": 1.0}, {"m": 2.0}]


def test_changed_values_tell_true_from_one_and_name_what_is_gone() -> None:
    baseline = {"a": 1, "b": True, "c": [1, 2], "d": "x", "gone": 5}
    other = {"a": True, "b": True, "c": [1, 3], "d": "x", "new": None}
    assert changed_values(baseline, other) == {"a": True, "c": [1, 3], "new": None, "gone": None}
    assert changed_values(baseline, baseline) == {}


def test_a_wide_table_fits_and_names_what_it_leaves_out() -> None:
    rows = [{f"column_number_{k:02d}": k for k in range(20)} for _ in range(3)]
    lines = render_table(rows).splitlines()
    assert max(map(len, lines[:-1])) <= 120
    assert lines[-1].startswith("(not shown for width: column_number_06")
    assert "column_number_19" in lines[-1]


def test_columns_line_up_and_long_values_are_cut() -> None:
    table = render_table([{"name": "a", "lr": 0.1, "note": "x" * 80}, {"name": "longer", "lr": None, "note": ""}])
    first, second, third = table.splitlines()
    assert first.index("lr") + 2 == second.index("0.1") + 3 == third.index(" -") + 2
    assert len(second) < 60


def test_rows_beyond_the_limit_are_counted() -> None:
    table = render_table([{"a": k} for k in range(5)], max_rows=2)
    assert table.splitlines() == ["a", "0", "1", "(3 more rows)"]
    assert render_table([]) == "(no runs)"


def test_chosen_columns_are_shown_even_if_they_are_usually_hidden() -> None:
    rows = [{"run_id": "4f", "val/mIoU": 0.5, "train/loss": 1.0}]
    assert render_table(rows).splitlines()[0] == "val/mIoU"
    assert render_table(rows, columns=["run_id", "train/loss"]).splitlines()[1].split() == ["4f", "1"]


def test_parquet_keeps_numbers_and_writes_mixed_columns_as_text(tmp_path: Path) -> None:
    rows = [
        {"whole": 1, "real": 1, "text": "a", "mixed": 1, "list": [1, 2], "flag": True, "none": None},
        {"whole": 2, "real": 0.5, "text": "b", "mixed": "x", "list": None, "flag": False},
    ]
    path = tmp_path / "deep" / "table.parquet"
    write_parquet(rows, path)
    assert pq.read_table(path).to_pydict() == {
        "whole": [1, 2],
        "real": [1.0, 0.5],
        "text": ["a", "b"],
        "mixed": ["1", "x"],
        "list": ["[1, 2]", None],
        "flag": [True, False],
        "none": [None, None],
    }


def test_an_empty_table_can_be_written(tmp_path: Path) -> None:
    write_parquet([], tmp_path / "table.parquet")
    assert pq.read_table(tmp_path / "table.parquet").num_rows == 0
