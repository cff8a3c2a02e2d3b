"""``rayseg ui``: MLflow's pages on the store of the runs, in the foreground, ended with everything that they started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rayseg.cli.output import say
from rayseg.errors import TrackingError
from rayseg.tracking import resolve_uri, sqlite_path, ui_command

__all__ = ["existing_store", "run"]

_HOST = "127.0.0.1"
_START_S = 120.0
_END_S = 5.0
#: Pages only: MLflow would start consumers of a job queue beside its server.
_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
_HINT = "to compare: Model training > the experiment > Views > a search, or tick two runs > Compare. Ctrl-C ends this."


def run(args: Namespace) -> int:
    """Serve until Ctrl-C, which is how it ends: status 0.

    Raises:
        TrackingError: nothing is recorded there, the port is taken, or MLflow does not start.
    """
    uri = existing_store(args.uri, args.storage, os.environ)
    command = ui_command(uri, _HOST, args.port)
    _require_free(args.port)
    address = f"http://{_HOST}:{args.port}"
    with tempfile.TemporaryFile() as log, _interruptible():
        _serve(command, address, f"{uri}\n{address}\n{_HINT}", log)
    return 0


def existing_store(uri: str | None, storage: str, environ: Mapping[str, str]) -> str:
    """The URI of a store; unlike training, looking at runs makes no new one.

    Args:
        uri: as given; None: ``MLFLOW_TRACKING_URI``, else SQLite in ``storage``.
        storage: directory of the runs.
        environ: environment variables.

    Raises:
        TrackingError: there is no such file.
    """
    chosen = uri or environ.get("MLFLOW_TRACKING_URI")
    local = None if "://" in storage else Path(storage).expanduser() / "mlflow.db"
    path = sqlite_path(chosen) if chosen else local
    if path is not None and not path.expanduser().is_file():
        raise TrackingError(
            f"{path}: nothing is recorded here; name the storage of the runs (--storage DIR) or a store (--uri URI)"
        )
    return resolve_uri(chosen, storage)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except (OSError, OverflowError) as error:
            raise TrackingError(f"port {port}: cannot listen there ({error}); give another one: --port {port + 1}") from error


def _serve(command: Sequence[str], address: str, announcement: str, log: IO[bytes]) -> None:
    """Run the server in a session of its own, so that Ctrl-C reaches it through here only."""
    server: subprocess.Popen[bytes] | None = None
    try:
        environment = {**os.environ, **_ENVIRONMENT}
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
        _wait_until_up(server, address, log)
        say(announcement)
        server.wait()
        raise TrackingError(f"MLflow ended by itself, status {server.returncode}:\n{_tail(log)}")
    except KeyboardInterrupt:
        return
    finally:
        if server is not None:
            _end(server)


def _wait_until_up(server: subprocess.Popen[bytes], address: str, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while not _answers(f"{address}/health"):
        if server.poll() is not None or time.monotonic() > deadline:
            raise TrackingError(f"MLflow did not start at {address} within {_START_S:g} s; it said:\n{_tail(log)}")
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()  # noqa: S310  the address was made here
    except urllib.error.HTTPError as answer:
        answer.close()
    except OSError:
        return False
    return True


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return "\n".join(f"  {line}" for line in log.read().decode(errors="replace").splitlines()[-8:])


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and every process of its group; a second Ctrl-C does not stop that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _signal_group(server.pid, signal.SIGTERM)
    try:
        server.wait(timeout=_END_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal_group(server.pid, signal.SIGKILL)
        server.wait()


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


@contextmanager
def _interruptible() -> Iterator[None]:
    """A polite kill, and a terminal that closes, end the pages like Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
