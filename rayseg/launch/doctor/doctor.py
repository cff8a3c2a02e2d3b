"""Every look, in the order in which a person would look."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rayseg.launch.doctor.finding import Finding
from rayseg.launch.doctor.installation import look_at_compiler, look_at_devices, look_at_packages
from rayseg.launch.doctor.machine import look_at_cache, look_at_shared_memory, look_at_storage
from rayseg.launch.doctor.ray_state import look_at_addresses, look_at_authentication
from rayseg.launch.doctor.store import look_at_store

__all__ = ["doctor"]


def doctor(
    storage: str = "runs",
    uri: str | None = None,
    *,
    fix: bool = False,
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> list[Finding]:
    """Look at everything that a run needs. Nothing is started, and nothing is changed unless ``fix`` is set.

    Args:
        storage: ``tracking.storage`` of the runs.
        uri: of the MLflow store; None: ``MLFLOW_TRACKING_URI``, else SQLite in ``storage``.
        fix: mark open runs whose process is dead as KILLED.
        environ: environment variables; None: those of this process.
        home: where Ray keeps its token; None: of this user.

    Returns:
        Findings; those with a ``todo`` are wrong.

    Example:
        >>> [finding.topic for finding in doctor()][:3]  # doctest: +SKIP
        ['python', 'rayseg', 'ray']
    """
    environ = os.environ if environ is None else environ
    return [
        *look_at_packages(),
        look_at_devices(),
        look_at_compiler(environ),
        look_at_storage(storage),
        look_at_cache(environ),
        look_at_shared_memory(),
        look_at_authentication(environ, Path.home() if home is None else home),
        *look_at_addresses(environ),
        *look_at_store(uri or environ.get("MLFLOW_TRACKING_URI"), storage, fix=fix),
    ]
