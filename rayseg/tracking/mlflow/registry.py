"""Versions of a name in MLflow's registry."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from rayseg.tracking.calls import quiet

__all__ = ["add_version", "find_version"]


def add_version(
    client: Any, experiment_id: str, folder: Path, name: str, *, alias: str | None, run_id: str | None, tags: Mapping[str, str]
) -> str:
    """See ``MlflowStore.register``."""
    with suppress(MlflowException), quiet("mlflow"):  # it is there already; if it is not, the next call says why
        client.create_registered_model(name)
    logged = client.create_logged_model(
        experiment_id, name=name, source_run_id=run_id, tags=dict(tags), model_type="segmentation"
    )
    try:
        with tempfile.TemporaryDirectory() as copied:
            client.log_model_artifacts(logged.model_id, str(_identified(folder, Path(copied), logged.model_id)))
    except BaseException:
        client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.finalize_logged_model(logged.model_id, "READY")
    belongs = (
        {} if run_id is None else {"run_id": run_id, "model_id": logged.model_id}
    )  # without a run MLflow asks another store
    made = client.create_model_version(name, source=logged.artifact_location, tags=dict(tags), **belongs)
    if alias is not None:
        client.set_registered_model_alias(name, alias, made.version)
    return str(made.version)


def find_version(client: Any, name: str, tags: Mapping[str, str], *, alias: str | None) -> tuple[str, Mapping[str, str]] | None:
    """See ``MlflowStore.registered``."""
    found = [each for each in client.search_model_versions(f"name = '{name}'") if tags.items() <= each.tags.items()]
    if not found:
        return None
    newest = max(found, key=lambda each: int(each.version))
    if alias is not None:
        client.set_registered_model_alias(name, alias, newest.version)
    return str(newest.version), dict(newest.tags)


def _identified(folder: Path, copied: Path, model_id: str) -> Path:
    """A copy of the model that knows its id in the store."""
    from mlflow.models import Model  # noqa: PLC0415  slow, and only for this

    shutil.copytree(folder, copied, dirs_exist_ok=True)
    model = Model.load(str(copied))
    model.model_id = model_id
    model.save(str(copied / "MLmodel"))
    return copied
