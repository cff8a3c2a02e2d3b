"""What MLflow shows of a search: the description of its run, and the page that has its trials side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rayseg.launch.confirmed import Confirmation
from rayseg.launch.recipes import BASELINE
from rayseg.launch.reporting import LINKS, REPORT, read_records
from rayseg.launch.summary import SweepResult
from rayseg.report import markdown_table, shortest_endings, verdict
from rayseg.tracking import SweepView

__all__ = ["NOTE", "SIDE_BY_SIDE", "keep_link", "sweep_note", "sweep_view"]

#: Tag under which MLflow keeps a description, in Markdown.
NOTE = "mlflow.note.content"
#: What the page of a search's trials is called, where it is linked.
SIDE_BY_SIDE = "trials side by side"


def sweep_note(summary: SweepResult, confirmation: Confirmation | None = None) -> str:
    """The answer in a sentence, where to look, the leaderboard, and what a confirmation found.

    Args:
        summary: of the search.
        confirmation: of it, where there is one.
    """
    names = shortest_endings(summary.searched)
    first = ("rank", summary.metric, "trial", "step", "status")
    rows = [{**{key: row.get(key) for key in first}, **{names[key]: row.get(key) for key in names}} for row in summary.table]
    records = read_records(summary.directory, confirmation)
    pages = [f"[{name}]({_within(url)})" for name, url in records.links.items()]
    told = [f"**{verdict(records)}**", " · ".join([*pages, f"the whole search on one page: `{REPORT}`, among the artifacts"])]
    told += [markdown_table(rows), *([] if confirmation is None else [f"```text\n{confirmation}\n```"])]
    return "\n\n".join(told)


def _within(url: str) -> str:
    """Of a page of MLflow, as another page of it links to it, wherever it is served."""
    return url[url.index("#") :]


def sweep_view(
    summary: SweepResult | None,
    *,
    name: str,
    run_id: str,
    metric: str,
    mode: Literal["max", "min"],
    searched: Sequence[str],
) -> SweepView:
    """How MLflow's page of runs shows a search.

    MLflow draws a line through all axes or none, so keys that not every trial has are left out when the trials are known.

    Args:
        summary: of the search; None before its end.
        name: of the search.
        run_id: its run.
        metric: by which trials are compared.
        mode: whether more or less of it is better.
        searched: keys of the space.
    """
    rows = [] if summary is None else [row for row in summary.table if row["trial"] != BASELINE and row["rank"] is not None]
    names = shortest_endings(searched)
    everywhere = [key for key in names if all(row.get(key) is not None for row in rows)] or names
    others, metrics = ((), ()) if summary is None else (summary.others, tuple(summary.best_metrics))
    params = [f"Searched/{names[key]}" for key in everywhere]
    return SweepView(f"{name}: {SIDE_BY_SIDE}", run_id, metric, mode, others, params, metrics)


def keep_link(directory: Path, links: Mapping[str, Any]) -> None:
    """Addresses of pages about a search, for its report."""
    (directory / LINKS).write_text(json.dumps(dict(links), indent=2), encoding="utf-8")
