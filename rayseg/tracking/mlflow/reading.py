"""What is read back from a store: all runs of a question, a child by its name, what a sweep and its trials were."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from mlflow.entities import Run

from rayseg.tracking.runs import StoredSweep, StoredTrial, stored_run

__all__ = ["PARENT_TAG", "all_runs", "child_called", "stored_sweep"]

#: By which MLflow puts a run below another one.
PARENT_TAG: Final = "mlflow.parentRunId"
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


def child_called(client: Any, experiment_id: str, name: str, parent_run_id: str) -> str | None:
    """Id of the oldest run of this name below another one; None where there is none.

    Args:
        client: of the store.
        experiment_id: of the experiment.
        name: of the run.
        parent_run_id: of the other one.

    Example:
        >>> child_called(client, "1", "ohem-8ea03_00003", sweep_run_id)  # doctest: +SKIP
    """
    below = all_runs(client, experiment_id, f"tags.`{PARENT_TAG}` = '{parent_run_id}'")
    return next((str(run.info.run_id) for run in below if run.info.run_name == name), None)


def stored_sweep(client: Any, experiment_id: str, name: str) -> StoredSweep | None:
    """A sweep with its trials; None where there is none.

    Args:
        client: of the store.
        experiment_id: of the experiment.
        name: of its run, of which the newest is meant, or its id.

    Example:
        >>> stored_sweep(client, "1", "ohem").trials[0].metrics["val/mIoU"]  # doctest: +SKIP
    """
    sweeps = [stored_run(run) for run in all_runs(client, experiment_id, "tags.`rayseg.kind` = 'sweep'")]
    own = next((run for run in reversed(sweeps) if name in {run.run_id, run.name}), None)
    if own is None:
        return None
    trials = all_runs(client, experiment_id, f"tags.`{PARENT_TAG}` = '{own.run_id}' and tags.`rayseg.kind` = 'trial'")
    return StoredSweep(own, [_stored_trial(client, run) for run in trials])


def _stored_trial(client: Any, run: Run) -> StoredTrial:
    """With the config that is kept among its artifacts."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(client.download_artifacts(run.info.run_id, "config.yaml", folder)).read_text(encoding="utf-8")
    return StoredTrial(stored_run(run), dict(run.data.metrics), config)
