"""A store that is opened: its schema and its experiment, made where they are missing; several processes may do so at once.

MLflow does not lock the making of its schema, and processes that open a new database together break it.
"""

from __future__ import annotations

import os
from typing import Any, Final

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from rayseg.errors import TrackingError
from rayseg.tracking.calls import quiet
from rayseg.tracking.uri import ARTIFACTS_DIR, sqlite_path

__all__ = ["opened"]

#: MLflow shows an experiment of no kind with its pages for prompts and traces.
_KIND: Final = {"mlflow.experimentKind": "custom_model_development"}
_LOCK_TIMEOUT_S: Final = 300.0


def opened(uri: str, experiment: str, where: str) -> tuple[Any, str]:
    """A client of a store, and the id of an experiment in it.

    Args:
        uri: of the store, absolute.
        experiment: its name.
        where: the two in words, for people.

    Raises:
        TrackingError: the experiment is deleted.

    Example:
        >>> client, experiment_id = opened("sqlite:////data/runs/mlflow.db", "camvid", "runs/mlflow.db")  # doctest: +SKIP
    """
    path = sqlite_path(uri)
    if path is None:
        return _connected(uri, experiment, where, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=_LOCK_TIMEOUT_S):
        return _connected(uri, experiment, where, (path.parent / ARTIFACTS_DIR).as_uri())


def _connected(uri: str, experiment: str, where: str, artifacts: str | None) -> tuple[Any, str]:
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # with a password, where the URI has one
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for each file that is read
    with quiet("alembic"), quiet("mlflow.store.db.utils"):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        found = client.get_experiment_by_name(experiment)
    if found is not None and found.lifecycle_stage == "deleted":
        raise TrackingError(f"{where}: it is deleted; restore it, or set tracking.mlflow.experiment")
    return client, found.experiment_id if found else _created(client, experiment, artifacts)


def _created(client: Any, name: str, artifacts: str | None) -> str:
    try:
        created: str = client.create_experiment(name, artifact_location=artifacts, tags=_KIND)
    except MlflowException:  # on a server, another client may have made it in between
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
    return created
