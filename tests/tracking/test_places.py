from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rayseg.errors import TrackingError
from rayseg.tracking import check_reachable, owner_is_alive, owner_tags, resolve_uri, sqlite_path, ui_command
from rayseg.tracking.naming import clean_names, param_text, shorten
from rayseg.tracking.runs import child_rows, differing


def test_the_store_is_sqlite_in_the_storage_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert resolve_uri(None, "deep/runs") == f"sqlite:///{tmp_path.as_posix()}/deep/runs/mlflow.db"
    assert (tmp_path / "deep" / "runs").is_dir()


def test_the_environment_is_asked_before_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000/")
    assert resolve_uri(None, str(tmp_path)) == "http://tracker:5000"
    assert resolve_uri(f"sqlite:///{tmp_path}/my.db", "x") == f"sqlite:///{tmp_path.as_posix()}/my.db"


def test_a_relative_sqlite_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = sqlite_path(resolve_uri("sqlite:///a/b.db", "unused"))
    assert path == tmp_path / "a" / "b.db"


@pytest.mark.parametrize("uri", ["file:///data/mlruns", "./mlruns", "/data/mlruns"])
def test_a_file_store_is_refused_with_the_remedy(uri: str) -> None:
    with pytest.raises(TrackingError, match=r"a file store.*use 'sqlite:///.*mlruns/mlflow\.db'"):
        resolve_uri(uri, "runs")


def test_cloud_storage_needs_a_store_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(TrackingError, match=r"set tracking\.mlflow\.uri"):
        resolve_uri(None, "s3://bucket/runs")


def test_a_directory_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match=r"file/deep/mlflow\.db: cannot keep the MLflow store here"):
        resolve_uri(f"sqlite:///{tmp_path}/file/deep/mlflow.db", "runs")


def test_a_server_that_is_not_there_is_found_out_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(TrackingError, match=rf"127\.0\.0\.1:{port}: no MLflow server answers.*start it"):
        check_reachable(f"http://127.0.0.1:{port}")


def test_the_owner_is_dead_when_its_process_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        tags = owner_tags(child.pid)
        assert owner_is_alive(tags)
        child.kill()
        child.wait()
        assert not owner_is_alive(tags)


def test_a_recycled_number_is_not_the_owner() -> None:
    own = owner_tags()
    assert own["rayseg.pid"] == str(os.getpid())
    assert not owner_is_alive(
        {**own, "rayseg.pid_started": f"{own['rayseg.pid_started']}0"}
    )  # a parent may start in the same tick


def test_a_process_of_another_machine_counts_as_alive() -> None:
    assert owner_is_alive({"rayseg.host": "elsewhere", "rayseg.pid": "999999999", "rayseg.pid_started": "x"})
    assert owner_is_alive({})


def test_the_pages_of_a_server_are_its_own() -> None:
    with pytest.raises(TrackingError, match="open http://tracker:5000 in a browser"):
        ui_command("http://tracker:5000")


def test_the_ui_serves_artifacts_from_beside_the_database() -> None:
    command = ui_command("sqlite:////data/runs/mlflow.db", "0.0.0.0", 8080)
    assert command[command.index("--artifacts-destination") + 1] == "/data/runs/mlartifacts"
    assert command[command.index("--host") + 1 : command.index("--host") + 4] == ["0.0.0.0", "--port", "8080"]


def test_names_that_become_the_same_are_an_error() -> None:
    assert clean_names(["a&b", "c"]) == {"a&b": "a_b", "c": "c"}
    with pytest.raises(TrackingError, match=r"'a\+b' and 'a&b' are both 'a_b'"):
        clean_names(["a&b", "a+b"])


def test_long_text_says_where_the_whole_is() -> None:
    short = shorten("x" * 7000, 6000, "params/a.txt")
    assert 5990 <= len(short) <= 6000
    assert short.endswith("... (in params/a.txt)")
    assert shorten("x" * 6000, 6000, "") == "x" * 6000


def test_children_show_the_parameters_in_which_they_differ() -> None:
    assert differing([{"a": "1", "b": "2"}, {"a": "1"}]) == ["b"]
    assert child_rows([]) == []
    assert param_text(0.1) == "0.1"
