"""``rayseg ui``: pages on the right store, and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from rayseg.cli import main
from rayseg.cli.ui import existing_store
from rayseg.errors import TrackingError

START_S, END_S = 150.0, 30.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--storage", str(tmp_path / "gone")], ["--uri", f"sqlite:///{tmp_path}/gone.db"]):
        assert main(["ui", *words]) == 2
        assert "nothing is recorded here" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_the_store_is_the_given_one_then_the_environment_s_then_the_storage_s(tmp_path: Path) -> None:
    for name in ("mlflow.db", "outside.db", "given.db"):
        (tmp_path / name).touch()
    environ = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/outside.db"}
    assert existing_store(f"sqlite:///{tmp_path}/given.db", str(tmp_path), environ).endswith("/given.db")
    assert existing_store(None, str(tmp_path), environ).endswith("/outside.db")
    assert existing_store(None, str(tmp_path), {}).endswith("/mlflow.db")
    assert existing_store("http://tracker:5000/", "unused", {}) == "http://tracker:5000"
    with pytest.raises(TrackingError, match=r"tracking\.storage"):
        existing_store(None, "s3://bucket/runs", {})


def test_a_server_is_to_be_opened_in_a_browser(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", "--uri", "http://tracker:5000"]) == 2
    assert "open http://tracker:5000 in a browser" in " ".join(capsys.readouterr().err.split())


def test_a_port_that_is_taken_is_told_with_another_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mlflow.db").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["ui", "--storage", str(tmp_path), "--port", str(port)]) == 2
    told = capsys.readouterr().err
    assert f"port {port}: cannot listen" in told
    assert f"--port {port + 1}" in told


@pytest.mark.tracking
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_pages_end_with_every_process_that_they_started(tmp_path: Path, ending: signal.Signals) -> None:
    from rayseg.tracking import MlflowStore, resolve_uri

    MlflowStore(resolve_uri(None, str(tmp_path)), "shown").prepare()
    port = _free_port()
    command = [sys.executable, "-m", "rayseg.cli", "ui", "--storage", str(tmp_path), "--port", str(port)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    served = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    family: list[psutil.Process] = []
    try:
        assert served.stdout is not None
        lines = [served.stdout.readline() for _ in range(3)]  # they come when the pages answer
        assert lines[0] == f"sqlite:///{tmp_path}/mlflow.db\n"
        assert lines[1] == f"http://127.0.0.1:{port}\n"
        assert "Compare" in lines[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            assert answer.read() == b"OK"
        family = psutil.Process(served.pid).children(recursive=True)
        assert family
        served.send_signal(ending)
        assert served.wait(timeout=END_S) == 0
        deadline = time.monotonic() + END_S
        while any(each.is_running() for each in family) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert [each for each in family if each.is_running()] == []
    finally:
        for each in [*family, *([psutil.Process(served.pid)] if served.poll() is None else [])]:
            if each.is_running():
                each.kill()
        served.wait(timeout=END_S)
        if served.stdout is not None:
            served.stdout.close()


@pytest.mark.tracking
def test_a_server_that_does_not_start_is_told_with_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database, but it is long enough to be taken for one" * 20)
    command = [sys.executable, "-m", "rayseg.cli", "ui", "--storage", str(tmp_path), "--port", str(_free_port())]
    told = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
    assert told.returncode == 2
    assert "MLflow did not start" in told.stderr
    assert "file is not a database" in told.stderr
