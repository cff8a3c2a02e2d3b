"""How to look at the runs: the command that serves MLflow's pages, and the address of a comparison."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from rayseg.errors import TrackingError
from rayseg.tracking.uri import ARTIFACTS_DIR, sqlite_path, without_password

__all__ = ["compare_url", "curves_url", "link_line", "run_url", "ui_command", "view_url"]

#: Where ``rayseg ui`` serves unless it is told.
_LOCAL = "http://127.0.0.1:5000"

#: MLflow 3 opens with its pages for traces and prompts, unless it is told.
_MODEL_TRAINING = "workflowType=machine_learning"


def ui_command(uri: str, host: str = "127.0.0.1", port: int = 5000) -> list[str]:
    """The command line that serves MLflow's pages for a store.

    MLflow answers only to host names that it knows: localhost and private addresses. To serve another name, append
    ``--allowed-hosts`` with it.

    Args:
        uri: of the store, as ``resolve_uri`` gives it.
        host: address to listen on.
        port: port to listen on.

    Raises:
        TrackingError: the store is a server already.

    Example:
        >>> ui_command("sqlite:////data/runs/mlflow.db")[1:6]
        ['-m', 'mlflow', 'server', '--backend-store-uri', 'sqlite:////data/runs/mlflow.db']
    """
    if uri.startswith(("http://", "https://")):
        raise TrackingError(
            f"{uri}: the store is a server and shows its own pages; expected a database: open {uri} in a browser"
        )
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    path = sqlite_path(uri)
    if path is not None:
        command += ["--artifacts-destination", str(path.parent / ARTIFACTS_DIR)]
    return [*command, "--host", host, "--port", str(port), "--workers", "1"]


def compare_url(base: str, experiment_id: str, run_ids: Sequence[str]) -> str:
    """Address of the page that compares runs: parameters and metrics side by side, parallel coordinates.

    Args:
        base: address of the MLflow pages, such as ``http://127.0.0.1:5000``.
        experiment_id: MLflow's number of the experiment.
        run_ids: the runs, two or more.

    Example:
        >>> compare_url("http://127.0.0.1:5000/", "1", ["a", "b"])
        'http://127.0.0.1:5000/#/compare-runs?runs=%5B%22a%22%2C%22b%22%5D&experiments=%5B%221%22%5D&workflowType=machine_learning'
    """
    return f"{base.rstrip('/')}/#/compare-runs?{_runs_query(experiment_id, run_ids)}"


def run_url(base: str, experiment_id: str, run_id: str) -> str:
    """Address of a run's page.

    Args:
        base: address of the MLflow pages.
        experiment_id: MLflow's number of the experiment.
        run_id: of the run.

    Example:
        >>> run_url("http://127.0.0.1:5000", "1", "abc")
        'http://127.0.0.1:5000/#/experiments/1/runs/abc?workflowType=machine_learning'
    """
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}?{_MODEL_TRAINING}"


def link_line(uri: str, experiment_id: str, run_id: str, storage: str) -> str:
    """Where a person looks at a run: its page on a server; for a database also the command that shows pages.

    Args:
        uri: of the store.
        experiment_id: MLflow's number of the experiment.
        run_id: of the run.
        storage: directory of the runs.

    Example:
        >>> link_line("http://tracker:5000", "1", "abc", "runs")
        'MLflow  http://tracker:5000/#/experiments/1/runs/abc?workflowType=machine_learning'
        >>> link_line("sqlite:////data/runs/mlflow.db", "1", "abc", "/data/runs")
        'MLflow  http://127.0.0.1:5000/#/experiments/1/runs/abc?workflowType=machine_learning  (rayseg ui --storage /data/runs)'
    """
    if _is_server(uri):
        return f"MLflow  {run_url(without_password(uri), experiment_id, run_id)}"
    own = sqlite_path(uri) == (Path(storage).expanduser().absolute() / "mlflow.db")
    place = f"--storage {shlex.quote(storage)}" if own else f"--uri {shlex.quote(without_password(uri))}"
    return f"MLflow  {run_url(_LOCAL, experiment_id, run_id)}  (rayseg ui {place})"


def view_url(uri: str, experiment_id: str, key: str) -> str:
    """Address of the page of runs as a view shows it, see ``SweepView``; of a database, where ``rayseg ui`` serves it.

    Args:
        uri: of the store.
        experiment_id: MLflow's number of the experiment.
        key: of the view.

    Example:
        >>> view_url("http://tracker:5000", "1", "4f2a")
        'http://tracker:5000/#/experiments/1/runs?viewStateShareKey=4f2a&compareRunsMode=CHART&workflowType=machine_learning'
    """
    base = without_password(uri).rstrip("/") if _is_server(uri) else _LOCAL
    return f"{base}/#/experiments/{experiment_id}/runs?viewStateShareKey={key}&compareRunsMode=CHART&{_MODEL_TRAINING}"


def _is_server(uri: str) -> bool:
    return urlsplit(uri).scheme in {"http", "https"}


def curves_url(base: str, experiment_id: str, run_ids: Sequence[str], metrics: Sequence[str]) -> str:
    """Address of the page that draws metrics of several runs over the steps, in one chart.

    Args:
        base: address of the MLflow pages.
        experiment_id: MLflow's number of the experiment.
        run_ids: the runs.
        metrics: their names, one at least.

    Example:
        >>> curves_url("http://127.0.0.1:5000", "1", ["a", "b"], ["val/mIoU"]).split("?")[0]
        'http://127.0.0.1:5000/#/metric'
    """
    keys = quote(json.dumps(list(metrics)))
    first = quote(json.dumps(metrics[0]))
    return (
        f"{base.rstrip('/')}/#/metric?{_runs_query(experiment_id, run_ids)}&metric={first}&plot_metric_keys={keys}&x_axis=step"
    )


def _runs_query(experiment_id: str, run_ids: Sequence[str]) -> str:
    runs = quote(json.dumps(list(run_ids), separators=(",", ":")))
    return f"runs={runs}&experiments={quote(json.dumps([experiment_id]))}&{_MODEL_TRAINING}"
