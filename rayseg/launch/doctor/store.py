"""The MLflow store: can it be read, is its schema right, which runs are open although nobody works on them."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rayseg import tracking
from rayseg.errors import TrackingError
from rayseg.launch.doctor.finding import Finding
from rayseg.tracking import StoredRun, check_reachable, owner_is_alive, resolve_uri, sqlite_path
from rayseg.tracking.owner import HOST_TAG, PID_TAG

__all__ = ["look_at_open_runs", "look_at_store"]

_TOPIC = "mlflow"
_TIMEOUT_S = 5.0
_MAX_EXPERIMENTS = 1000


def look_at_store(uri: str | None, storage: str, *, fix: bool) -> list[Finding]:
    """The store and its open runs; a store that is not there yet is not made.

    Args:
        uri: of the store; None: SQLite in ``storage``.
        storage: directory of the runs.
        fix: mark open runs whose process is dead as KILLED.
    """
    try:
        path = sqlite_path(uri) if uri else None if "://" in storage else Path(storage) / "mlflow.db"
        if path is not None and not path.expanduser().is_file():
            return [Finding(_TOPIC, f"{path}: nothing is recorded here yet")]
        resolved = resolve_uri(uri, storage)
        check_reachable(resolved, _TIMEOUT_S)
        return _look_inside(resolved, fix=fix)
    except TrackingError as error:
        told, _, todo = str(error).rpartition("; ")
        if "schema" in told:
            todo = f"copy the store, then: mlflow db upgrade {uri or f'sqlite:///{storage}/mlflow.db'}"
        return [Finding(_TOPIC, told, todo)]


def _look_inside(uri: str, *, fix: bool) -> list[Finding]:
    names = _experiments(uri)
    stores = [tracking.MlflowStore(uri, name) for name in names]
    for store in stores:
        store.prepare()
    count = _count_runs(uri)
    runs = "" if count is None else f" {_count(count, 'run')} in"
    told = f"{uri}:{runs} {_count(len(names), 'experiment')} ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})"
    findings = [Finding(_TOPIC, told)]
    for store in stores:
        findings += look_at_open_runs(store.experiment, store.open_runs())
        if fix:
            findings = _closed(findings, store.close_stale_runs(owner_is_alive), store.experiment)
    return findings


def look_at_open_runs(
    experiment: str,
    runs: Sequence[StoredRun],
    is_alive: Callable[[Mapping[str, str]], bool] = owner_is_alive,
    host: str | None = None,
) -> list[Finding]:
    """Open runs by whose they are: of a dead process here, of another machine, of a living process, of somebody else.

    Args:
        experiment: of the runs.
        runs: that say RUNNING.
        is_alive: whether the process that a run's tags name is at work.
        host: of this machine; None: ask.
    """
    host = socket.gethostname() if host is None else host
    ours = [run for run in runs if PID_TAG in run.tags]
    away = [run for run in ours if run.tags.get(HOST_TAG) != host]
    here = [run for run in ours if run.tags.get(HOST_TAG) == host]
    dead = [run for run in here if not is_alive(run.tags)]
    topic = f"{experiment}, open"
    findings = []
    if dead:
        told = f"{_number(dead)} whose process is dead: {_listed(dead)}"
        findings.append(Finding(topic, told, "rayseg doctor --fix marks them as KILLED"))
    if away:
        hosts = ", ".join(sorted({run.tags.get(HOST_TAG, "?") for run in away}))
        told = f"{_number(away)} of other machines: {_listed(away)}; whether they are at work is seen on {hosts}"
        findings.append(Finding(topic, told))
    if len(here) > len(dead):
        findings.append(Finding(topic, f"{_number([run for run in here if run not in dead])} at work here"))
    if len(runs) > len(ours):
        findings.append(Finding(topic, f"{_number([run for run in runs if run not in ours])} of other programs, left alone"))
    return findings


def _closed(findings: Sequence[Finding], closed: Sequence[str], experiment: str) -> list[Finding]:
    """What was found, with what was wrong and is no more."""
    topic = f"{experiment}, open"
    done = [Finding(topic, f"{len(closed)} whose process is dead: marked as KILLED")] if closed else []
    return [*(finding for finding in findings if finding.topic != topic or finding.todo is None), *done]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _number(runs: Sequence[StoredRun]) -> str:
    return _count(len(runs), "run")


def _listed(runs: Sequence[StoredRun]) -> str:
    return ", ".join(f"{run.name} ({run.run_id[:8]})" for run in runs)


def _experiments(uri: str) -> list[str]:
    """Names of all experiments that are not deleted; where they cannot be listed, the one that runs go to by default."""
    path = sqlite_path(uri)
    if path is not None:
        return [str(name) for (name,) in _rows(path, "SELECT name FROM experiments WHERE lifecycle_stage = 'active'")]
    try:
        if uri.startswith(("http://", "https://")):
            return [str(each["name"]) for each in _ask(uri)]
    except (OSError, ValueError, KeyError):  # a server that wants a password: MLflow's own client knows it
        pass
    return [os.environ.get("MLFLOW_EXPERIMENT_NAME", "rayseg")]


def _count_runs(uri: str) -> int | None:
    path = sqlite_path(uri)
    return None if path is None else int(_rows(path, "SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'")[0][0])


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Read a database without changing it.

    Raises:
        TrackingError: it is no MLflow store.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT_S)) as database:
            return database.execute(query).fetchall()
    except sqlite3.Error as error:
        raise TrackingError(f"{path}: no MLflow store that can be read ({error}); move it away, or name another one") from error


def _ask(uri: str) -> list[dict[str, Any]]:
    """Experiments of a server."""
    question = urllib.request.Request(  # noqa: S310  http or https, seen above
        f"{uri}/api/2.0/mlflow/experiments/search",
        data=json.dumps({"max_results": _MAX_EXPERIMENTS}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(question, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        found: list[dict[str, Any]] = json.load(answer).get("experiments", [])
    return found
