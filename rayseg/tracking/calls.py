"""Around calls into MLflow: errors that say where, and quiet."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from rayseg.errors import TrackingError
from rayseg.tracking.access import who

__all__ = ["quiet", "told"]

#: MLflow's words for 401 and 403.
_REFUSED = ("CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED", "UNAUTHENTICATED")


@contextmanager
def told(where: str, what: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into a TrackingError.

    Args:
        where: the store.
        what: what was to be done.

    Raises:
        TrackingError: something went wrong inside.

    Example:
        >>> with told("sqlite:////data/mlflow.db", "open the store"):
        ...     raise OSError("disk full")
        Traceback (most recent call last):
        rayseg.errors.TrackingError: sqlite:////data/mlflow.db: could not open the store: OSError: disk full; ...
    """
    try:
        yield
    except TrackingError:
        raise
    except Exception as failure:
        first = (str(failure).strip().splitlines() or [""])[0]
        if getattr(failure, "error_code", "") in _REFUSED:
            raise TrackingError(
                f"{where}: may not {what}, {who(os.environ)}: {first}; ask who runs the server for that permission, or set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            ) from failure
        raise TrackingError(
            f"{where}: could not {what}: {type(failure).__name__}: {first}; "
            "check that the store is reachable and writable (`rayseg doctor`)"
        ) from failure


@contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Let a logger speak of warnings only: the making of a schema is dozens of lines that tell a user nothing.

    Example:
        >>> with quiet("alembic"):
        ...     logging.getLogger("alembic").isEnabledFor(logging.INFO)
        False
    """
    talker = logging.getLogger(logger)
    level = talker.level
    talker.setLevel(logging.WARNING)
    try:
        yield
    finally:
        talker.setLevel(level)
