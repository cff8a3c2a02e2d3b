"""A tracking server that lets nobody in without a name: MLflow's own, behind a door that looks at the Authorization header."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["PASSWORD", "USER", "guarded_server"]

USER, PASSWORD = "ray", "s3cret-Pa55word"
START_S = 180.0
_VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_HOP = {"connection", "transfer-encoding", "content-length", "host", "date", "server"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Door(BaseHTTPRequestHandler):
    """Passes on what comes with the right name; health is for everybody, as MLflow has it."""

    behind = ""
    protocol_version = "HTTP/1.1"

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        if self.path != "/health" and self.headers.get("Authorization") != told:
            self._answer(401, {}, b"You are not authenticated.")
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
        asked = urllib.request.Request(f"{self.behind}{self.path}", body or None, headers, method=self.command)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                self._answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as answer:
            self._answer(answer.code, dict(answer.headers), answer.read())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
        """Nothing."""


@contextmanager
def guarded_server(folder: Path) -> Iterator[str]:
    """The address of such a server, until the block ends.

    Args:
        folder: of its database and its log.
    """
    port = _free_port()
    words = ["server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "mlflow", *words, "--port", str(port), "--workers", "1"]
        server = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(f"http://127.0.0.1:{port}", server)
            handler = type(
                "Door", (_Door,), {"behind": f"http://127.0.0.1:{port}", **{f"do_{verb}": _Door.pass_on for verb in _VERBS}}
            )
            with ThreadingHTTPServer(("127.0.0.1", 0), handler) as door:
                threading.Thread(target=door.serve_forever, daemon=True).start()
                yield f"http://127.0.0.1:{door.server_address[1]}"
                door.shutdown()
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(timeout=30)


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError("MLflow did not start")
