"""What is read back from a store: all runs of a question, and what a trial was."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from mlflow.entities import Run

from rayseg.tracking.runs import StoredTrial, stored_run

__all__ = ["all_runs", "stored_trial"]

_OLDEST_FIRST: Final = ["attributes.start_time ASC"]


def all_runs(client: Any, experiment_id: str, query: str) -> list[Run]:
    """Runs of an experiment, the oldest first, however many pages they fill.

    Args:
        client: of the store.
        experiment_id: of the experiment.
        query: in MLflow's language.

    Example:
        >>> failed = all_runs(client, "1", "attributes.status = 'FAILED'")  # doctest: +SKIP
    """
    page = client.search_runs([experiment_id], query, order_by=_OLDEST_FIRST)
    found = list(page)
    while page.token:
        page = client.search_runs([experiment_id], query, order_by=_OLDEST_FIRST, page_token=page.token)
        found += page
    return found


def stored_trial(client: Any, run: Run) -> StoredTrial:
    """A trial, with the config that is kept among its artifacts.

    Args:
        client: of the store.
        run: of the trial.

    Example:
        >>> stored_trial(client, run).metrics["val/mIoU"]  # doctest: +SKIP
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(client.download_artifacts(run.info.run_id, "config.yaml", folder)).read_text(encoding="utf-8")
    return StoredTrial(stored_run(run), dict(run.data.metrics), config)
