"""Which MLflow store a run goes to, and whether it can be reached."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from rayseg.errors import TrackingError
from rayseg.tracking.access import authorization, other_ways_in, tls, who

__all__ = ["ARTIFACTS_DIR", "check_reachable", "not_let_in", "resolve_uri", "sqlite_path", "without_password"]

#: Directory of the artifacts, beside the SQLite file.
ARTIFACTS_DIR = "mlartifacts"

_SQLITE = "sqlite:///"
_WINDOWS = sys.platform == "win32"


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite URI, or None if it is another kind of store.

    Example:
        >>> sqlite_path("sqlite:////data/runs/mlflow.db").as_posix()
        '/data/runs/mlflow.db'
        >>> sqlite_path("http://tracker:5000") is None
        True
    """
    return Path(uri.removeprefix(_SQLITE).split("?")[0]) if uri.startswith(_SQLITE) else None


def without_password(uri: str) -> str:
    """A URI as it may be shown.

    Example:
        >>> without_password("postgresql://ray:secret@db:5432/mlflow")
        'postgresql://ray:***@db:5432/mlflow'
        >>> without_password("sqlite:////data/runs/mlflow.db")
        'sqlite:////data/runs/mlflow.db'
    """
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    user, _, host = parts.netloc.rpartition("@")
    return uri.replace(f"{user}@{host}", f"{user.partition(':')[0]}:***@{host}", 1)


def resolve_uri(uri: str | None, storage: str) -> str:
    """The absolute URI of the MLflow store.

    Workers start in other directories, so a relative SQLite path is made absolute here, and its directory is created.

    Args:
        uri: what the config says; None is ``MLFLOW_TRACKING_URI``, and without that SQLite in ``storage``.
        storage: directory of the runs; used only where nothing else is said.

    Raises:
        TrackingError: a file store (MLflow 3 refuses them), an SQLite path that is empty, or a directory that cannot be made.

    Example:
        >>> resolve_uri("http://tracker:5000/", "runs")
        'http://tracker:5000'
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or _default(storage)
    scheme = urlsplit(chosen).scheme
    if scheme in {"", "file"} or (_WINDOWS and len(scheme) == 1):
        raise TrackingError(
            f"tracking.mlflow.uri: got {without_password(chosen)!r}, a file store, which MLflow 3 no longer writes; "
            f"expected SQLite or a server: use 'sqlite:///{chosen.removeprefix('file://').rstrip('/')}/mlflow.db' or 'http://host:5000'"
        )
    path = sqlite_path(chosen)
    if path is None:
        return chosen.rstrip("/")
    if path == Path():
        raise TrackingError(f"tracking.mlflow.uri: got {chosen!r} without a file; use 'sqlite:///runs/mlflow.db'")
    return _SQLITE + _made(path.expanduser().absolute()).as_posix()


def _default(storage: str) -> str:
    if "://" in storage:
        raise TrackingError(
            f"tracking.mlflow.uri: not set, and SQLite cannot live in tracking.storage {storage!r}; "
            "expected a local directory: set tracking.mlflow.uri to a server or to 'sqlite:///<local directory>/mlflow.db'"
        )
    return f"{_SQLITE}{(Path(storage).expanduser().absolute() / 'mlflow.db').as_posix()}"


def _made(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise TrackingError(_unwritable(path, failure.strerror)) from failure
    target = path if path.exists() else path.parent
    if not os.access(target, os.W_OK):
        raise TrackingError(_unwritable(path, f"{target} is not writable"))
    return path


def _unwritable(path: Path, why: str | None) -> str:
    return f"{path}: cannot keep the MLflow store here: {why}; make it writable, or set tracking.storage or tracking.mlflow.uri"


def check_reachable(uri: str, timeout_s: float = 5.0, environ: Mapping[str, str] = os.environ) -> None:
    """Ask a server once for a sign of life, and whether it lets us in; other stores are not asked.

    MLflow itself repeats a request for minutes before it gives up.

    Args:
        uri: of the store.
        timeout_s: seconds that the server has to answer.
        environ: environment variables, MLflow's among them.

    Raises:
        TrackingError: nothing answers there, or the server does not let us in.

    Example:
        >>> check_reachable("sqlite:////data/runs/mlflow.db")
    """
    if urlsplit(uri).scheme not in {"http", "https"}:
        return
    try:
        _ask(uri, "/health", timeout_s, environ)
        status = _ask(uri, "/api/2.0/mlflow/experiments/search?max_results=1", timeout_s, environ)
    except OSError as failure:
        raise TrackingError(
            f"{without_password(uri)}: no MLflow server answers within {timeout_s:g} s ({failure}); "
            "start it, correct tracking.mlflow.uri or MLFLOW_TRACKING_URI, or set tracking.mlflow to null"
        ) from failure
    if status in (401, 403) and not other_ways_in(environ):
        raise TrackingError(not_let_in(uri, status, environ))


def not_let_in(uri: str, status: int, environ: Mapping[str, str]) -> str:
    """What to tell of a server that refuses us.

    Example:
        >>> not_let_in("http://tracker:5000", 401, {"HOME": "/nowhere"})
        'http://tracker:5000: the server does not let us in without a name (401); set MLFLOW_TRACKING_USERNAME and ...'
    """
    return (
        f"{without_password(uri)}: the server does not let us in {who(environ)} ({status}); set MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, where the run is started"
    )


def _ask(uri: str, path: str, timeout_s: float, environ: Mapping[str, str]) -> int:
    """The status of an answer; any will do for a sign of life."""
    parts = urlsplit(uri)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
    own = {
        **environ,
        "MLFLOW_TRACKING_USERNAME": unquote(parts.username or ""),
        "MLFLOW_TRACKING_PASSWORD": unquote(parts.password or ""),
    }
    headers = authorization(own if parts.password else environ)
    request = urllib.request.Request(f"{bare}{path}", headers=headers)  # noqa: S310  http or https
    try:
        with urllib.request.urlopen(request, timeout=timeout_s, context=tls(environ)) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as answer:
        answer.close()
        return int(answer.code)
