"""Tables of runs: ranked, printed, kept as Parquet."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["changed_values", "markdown_table", "rank_table", "render_table", "shortest_endings", "write_parquet"]

#: Columns that a printed table leaves out unless they are asked for: ids are for programs, the rest has its own pages.
_CLASS_SCORES = tuple(f"val/{kind}/" for kind in ("IoU", "Acc", "Dice", "Fscore", "Precision", "Recall", "BoundaryIoU"))
_HIDDEN = ("run_id", "point", "train/", *_CLASS_SCORES, "perf/")
_WIDTH = 120
_ABSENT = "-"


def changed_values(baseline: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What another config sets differently.

    Args:
        baseline: flat dotted leaves.
        other: flat dotted leaves.

    Returns:
        The leaves of ``other`` that differ or are new, in its order; then those that it lacks, as None.

    Example:
        >>> changed_values({"optim.lr": 0.01, "seed": 0}, {"optim.lr": 0.02, "losses.dice.weight": 3.0})
        {'optim.lr': 0.02, 'losses.dice.weight': 3.0, 'seed': None}
    """
    new = {key: value for key, value in other.items() if key not in baseline or not _same(baseline[key], value)}
    return {**new, **{key: None for key in baseline if key not in other}}


def _same(left: Any, right: Any) -> bool:
    """Equal, and 1 is not True."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def shortest_endings(keys: Sequence[str]) -> dict[str, str]:
    """Dotted keys by the fewest last parts that tell them apart.

    Example:
        >>> shortest_endings(["losses.ce.weight", "losses.dice.weight", "optim.lr"])
        {'losses.ce.weight': 'ce.weight', 'losses.dice.weight': 'dice.weight', 'optim.lr': 'lr'}
    """
    endings = {}
    for key in keys:
        parts = key.split(".")
        candidates = [".".join(parts[-depth:]) for depth in range(1, len(parts) + 1)]
        alone = (end for end in candidates if sum(f".{other}".endswith(f".{end}") for other in keys) == 1)
        endings[key] = next(alone, key)
    return endings


def _score(row: Mapping[str, Any], metric: str, mode: str) -> float:
    """What to sort by, small first; a row without the metric is last."""
    value = row.get(metric)
    if value is None or math.isnan(value):
        return math.inf
    return -float(value) if mode == "max" else float(value)


def rank_table(rows: Sequence[Mapping[str, Any]], metric: str, mode: Literal["max", "min"]) -> list[dict[str, Any]]:
    """Rows from best to worst, each with its ``rank``.

    Args:
        rows: one per run.
        metric: the key to rank by.
        mode: ``max`` if more is better.

    Returns:
        New rows: ``rank`` first, then the metric, then the rest. Equal values share a rank (1, 2, 2, 4) and keep their
        order; rows whose metric is absent or NaN come last, with rank None.

    Example:
        >>> rank_table([{"lr": 1, "mIoU": 0.5}, {"lr": 2, "mIoU": 0.7}], "mIoU", "max")
        [{'rank': 1, 'mIoU': 0.7, 'lr': 2}, {'rank': 2, 'mIoU': 0.5, 'lr': 1}]
    """
    ordered = sorted(rows, key=lambda row: _score(row, metric, mode))
    scores = [_score(row, metric, mode) for row in ordered]
    ranks = [None if score == math.inf else scores.index(score) + 1 for score in scores]
    return [{"rank": rank, metric: row.get(metric), **_without(row, metric)} for rank, row in zip(ranks, ordered, strict=True)]


def _without(row: Mapping[str, Any], metric: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in {"rank", metric}}


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _text(value: Any) -> str:
    if value is None:
        return _ABSENT
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 32 else text[:31] + "…"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _cells(rows: Sequence[Mapping[str, Any]], column: str) -> list[str]:
    """Heading and values of a column, of one width; numbers stand right."""
    values = [row.get(column) for row in rows]
    texts = [column, *map(_text, values)]
    width = max(map(len, texts))
    align = str.rjust if all(map(_is_number, values)) else str.ljust
    return [align(text, width) for text in texts]


def _fitting(columns: Sequence[list[str]]) -> int:
    """How many columns fit the width; one at least."""
    taken = 0
    for number, cells in enumerate(columns):
        taken += len(cells[0]) + (2 if number else 0)
        if taken > _WIDTH:
            return max(1, number)
    return len(columns)


def render_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, max_rows: int | None = None) -> str:
    """A table as aligned text of at most 120 columns; what does not fit is named below it.

    Args:
        rows: one per run.
        columns: keys to show, in this order; None shows all but ids, training metrics, classes and timings.
        max_rows: rows to show; None shows all.

    Example:
        >>> print(render_table([{"rank": 1, "val/mIoU": 0.71234, "optim.lr": 0.02}, {"rank": 2, "val/mIoU": 0.7}]))
        rank  val/mIoU  optim.lr
           1    0.7123      0.02
           2       0.7         -
    """
    if not rows:
        return "(no runs)"
    chosen = [key for key in _columns(rows) if not key.startswith(_HIDDEN)] if columns is None else list(columns)
    shown = list(rows)[:max_rows]
    cells = [_cells(shown, column) for column in chosen]
    fits = _fitting(cells)
    lines = ["  ".join(line).rstrip() for line in zip(*cells[:fits], strict=True)]
    if fits < len(chosen):
        lines.append(f"(not shown for width: {', '.join(chosen[fits:])})")
    if len(shown) < len(rows):
        lines.append(f"({len(rows) - len(shown)} more rows)")
    return "\n".join(lines)


def markdown_table(rows: Sequence[Mapping[str, Any]], max_rows: int = 20) -> str:
    """A table in Markdown, as MLflow shows it in the description of a run.

    Args:
        rows: one per run, with the columns that are shown.
        max_rows: rows to show.

    Example:
        >>> print(markdown_table([{"rank": 1, "val/mIoU": 0.71234, "lr": None}]))
        | rank | val/mIoU | lr |
        | --- | --- | --- |
        | 1 | 0.7123 | - |
    """
    columns = _columns(rows)
    lines = [columns, ["---"] * len(columns), *([_text(row.get(column)) for column in columns] for row in rows[:max_rows])]
    told = [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]
    return "\n".join([*told, *([f"\n{len(rows) - max_rows} more in table.txt"] if len(rows) > max_rows else [])])


def _uniform(values: Sequence[Any]) -> list[Any]:
    """Values of one type: as they are if they are all text, all yes-or-no, all whole or all numbers; else as JSON text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and len(kinds) == 2:
        return [None if value is None else float(value) for value in values]
    if len(kinds) <= 1 and kinds <= {str, bool, int, float}:
        return list(values)
    return [value if value is None or isinstance(value, str) else json.dumps(value, default=str) for value in values]


def write_parquet(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Keep a table, one column per key; a column of mixed types becomes text (JSON).

    Args:
        rows: one per run; a key that a row lacks is null.
        path: the file; its directory is made.

    Example:
        >>> write_parquet([{"lr": 0.1}], Path("table.parquet"))  # doctest: +SKIP
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({key: _uniform([row.get(key) for row in rows]) for key in _columns(rows)})
    pq.write_table(table, path)
