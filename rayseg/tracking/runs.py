"""Runs as they come back from the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["StoredRun", "StoredSweep", "StoredTrial", "child_rows", "differing", "stored_run"]


@dataclass(frozen=True)
class StoredRun:
    """A run in the store.

    Args:
        run_id: MLflow's name for it.
        name: what people call it.
        status: ``RUNNING``, ``FINISHED``, ``FAILED``, ``KILLED`` or ``SCHEDULED``.
        tags: all tags.

    Example:
        >>> StoredRun("4f2a", "baseline", "RUNNING", {}).status
        'RUNNING'
    """

    run_id: str
    name: str
    status: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class StoredTrial:
    """A trial of a sweep in the store.

    Args:
        run: its run.
        metrics: last value of each.
        config: its ``config.yaml``.
    """

    run: StoredRun
    metrics: Mapping[str, float]
    config: str


@dataclass(frozen=True)
class StoredSweep:
    """A sweep in the store.

    Args:
        run: its run.
        trials: in the order of their start.
    """

    run: StoredRun
    trials: Sequence[StoredTrial]


def stored_run(run: Any) -> StoredRun:
    """A StoredRun from MLflow's own object."""
    return StoredRun(run.info.run_id, run.info.run_name or "", run.info.status, dict(run.data.tags))


def differing(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Keys, in the order of their first appearance, whose values are not the same in all rows.

    Example:
        >>> differing([{"lr": "0.1", "seed": "0"}, {"lr": "0.2", "seed": "0"}])
        ['lr']
    """
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if len({row.get(key) for row in rows}) > 1]


def child_rows(runs: Sequence[Any]) -> list[dict[str, Any]]:
    """One row per run of MLflow's: id, name, the parameters that differ, last step, status, last metrics."""
    differ = differing([run.data.params for run in runs])
    return [_row(run, differ) for run in runs]


def _row(run: Any, differ: Sequence[str]) -> dict[str, Any]:
    last = max((int(metric.step) for metric in run.data.to_proto().metrics), default=0)
    changed = {key: _leaf(run.data.params.get(key)) for key in differ}
    head = {"run_id": run.info.run_id, "name": run.info.run_name}
    return {**head, **changed, "step": last, "status": run.info.status, **run.data.metrics}


def _leaf(text: str | None) -> Any:
    """A parameter as the config had it, where its text tells: the inverse of ``param_text``."""
    try:
        return None if text is None else json.loads(text)
    except json.JSONDecodeError:
        return text
