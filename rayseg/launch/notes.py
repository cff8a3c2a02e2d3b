"""What MLflow shows as the description of a search's run."""

from __future__ import annotations

from rayseg.launch.confirmed import Confirmation
from rayseg.launch.summary import SweepResult
from rayseg.report import markdown_table, shortest_endings

__all__ = ["NOTE", "sweep_note"]

#: Tag under which MLflow keeps a description, in Markdown.
NOTE = "mlflow.note.content"


def sweep_note(summary: SweepResult, confirmation: Confirmation | None = None) -> str:
    """The leaderboard, below the verdicts of a confirmation.

    Args:
        summary: of the search.
        confirmation: of it, where there is one.
    """
    names = shortest_endings(summary.searched)
    first = ("rank", summary.metric, "trial", "step", "status")
    rows = [{**{key: row.get(key) for key in first}, **{names[key]: row.get(key) for key in names}} for row in summary.table]
    told = "Not confirmed." if confirmation is None else f"```text\n{confirmation}\n```"
    page = "The whole search on one page: `report.html`, among the artifacts."
    return f"{told}\n\n{markdown_table(rows)}\n\n{page}"
