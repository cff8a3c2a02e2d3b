"""What the doctor finds. Only the tests that are marked touch Ray or MLflow."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from rayseg.cli import main
from rayseg.launch.doctor import Finding, doctor
from rayseg.launch.doctor.installation import look_at_compiler, look_at_packages, look_at_requirement
from rayseg.launch.doctor.machine import look_at_cache, look_at_shared_memory, look_at_storage
from rayseg.launch.doctor.ray_state import look_at_addresses, look_at_authentication
from rayseg.launch.doctor.store import look_at_open_runs, look_at_store
from rayseg.tracking import StoredRun, owner_tags

SUBMIT_S = 60


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with Ray's token."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    return tmp_path


@pytest.fixture
def listener() -> Iterator[str]:
    """An address at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_this_installation_fits_what_it_asks_for() -> None:
    found = {finding.topic: finding for finding in look_at_packages()}
    assert {"python", "rayseg", "ray", "torch", "torchvision", "mlflow", "pyarrow", "numpy", "pydantic"} <= set(found)
    assert [finding for finding in found.values() if finding.todo] == []
    assert "pytest" not in found  # an extra


@pytest.mark.parametrize(
    ("version", "todo"),
    [("2.50.0", None), ("3.0.dev1", None), ("2.9.1", "pip install 'x[a]>=2.50'"), (None, "pip install 'x[a]>=2.50'")],
)
def test_a_package_that_is_too_old_or_missing_is_to_be_installed(version: str | None, todo: str | None) -> None:
    assert look_at_requirement(Requirement("x[a]>=2.50"), lambda _: version).todo == todo


def test_authentication_is_told_as_ray_job_submit_will_meet_it(home: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    table: list[tuple[Mapping[str, str], Path, str | None]] = [
        ({}, bare, None),
        ({}, home, "export RAY_AUTH_MODE=token"),
        ({"RAY_AUTH_MODE": "token"}, home, None),
        ({"RAY_AUTH_MODE": "TOKEN"}, home, None),
        ({"RAY_AUTH_MODE": "token"}, bare, "ray get-auth-token --generate"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t"}, bare, None),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(home / ".ray" / "auth_token")}, bare, None),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nowhere"}, home, "ray get-auth-token --generate"),
        ({"RAY_AUTH_MODE": "disabled"}, home, None),
        ({"RAY_AUTH_MODE": "tokens"}, home, "export RAY_AUTH_MODE=token"),
    ]
    for environ, where, todo in table:
        found = look_at_authentication(environ, where).todo
        assert (found is None) == (todo is None), (environ, found)
        assert todo is None or str(found).startswith(todo)


def test_the_token_itself_is_never_shown(home: Path) -> None:
    for environ in ({}, {"RAY_AUTH_MODE": "token"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "secret"}):
        assert "secret" not in look_at_authentication(environ, home).told


def test_an_address_is_tried(listener: str) -> None:
    for address in (listener, f"ray://{listener}", f"http://{listener}"):
        (found,) = look_at_addresses({"RAY_ADDRESS": address})
        assert found == Finding("ray cluster", f"RAY_ADDRESS={address}: answers")


def test_an_address_where_nobody_listens_is_told(listener: str) -> None:
    with socket.socket() as bound:  # bound, but not listening: refused at once
        bound.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{bound.getsockname()[1]}"
        found = look_at_addresses({"RAY_ADDRESS": gone, "RAY_API_SERVER_ADDRESS": f"http://{listener}"}, timeout_s=1.0)
    assert [finding.todo is None for finding in found] == [False, True]
    assert "ray start --head" in str(found[0].todo)
    assert look_at_addresses({"RAY_ADDRESS": "host:port"})[0].todo == "export RAY_ADDRESS=HOST:PORT, or unset it"


def test_without_an_address_nothing_is_wrong() -> None:
    assert [finding.todo for finding in look_at_addresses({})] == [None]
    assert look_at_addresses({"RAY_ADDRESS": "auto"})[0].todo is None


def test_a_storage_is_looked_at_and_not_made(tmp_path: Path) -> None:
    assert look_at_storage(str(tmp_path / "a" / "b")).todo is None
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").touch()
    assert "is a file" in look_at_storage(str(tmp_path / "file" / "runs")).told
    assert look_at_storage(str(tmp_path / "file")).todo is not None
    assert "directory" in str(look_at_storage("s3://bucket/runs").todo)
    assert str(tmp_path) in look_at_cache({"RAYSEG_CACHE": str(tmp_path)}).told


def test_a_full_disk_and_little_shared_memory_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10**8, "total": 64 * 10**6})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert "make room" in str(look_at_storage(str(tmp_path)).todo)
    assert "--shm-size" in str(look_at_shared_memory(tmp_path).todo)
    assert look_at_shared_memory(tmp_path / "gone").todo is None


def test_a_missing_compiler_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = look_at_compiler({})
    assert found.todo is None
    assert found.told.startswith("none")


def _run(name: str, **tags: str) -> StoredRun:
    return StoredRun(f"{name}0123456789", name, "RUNNING", {key.replace("_", ".", 1): value for key, value in tags.items()})


def test_open_runs_are_told_apart_by_whose_they_are() -> None:
    runs = [
        _run("alive", rayseg_host="here", rayseg_pid="1"),
        _run("dead", rayseg_host="here", rayseg_pid="2"),
        _run("away", rayseg_host="there", rayseg_pid="2"),
        _run("other"),
    ]
    found = look_at_open_runs("camvid", runs, is_alive=lambda tags: tags["rayseg.pid"] == "1", host="here")
    assert {finding.topic for finding in found} == {"camvid, open"}
    dead, away, alive, other = found
    assert dead.told == "1 run whose process is dead: dead (dead0123)"
    assert "--fix" in str(dead.todo)
    assert away.told == "1 run of other machines: away (away0123); whether they are at work is seen on there"
    assert alive.told == "1 run at work here"
    assert other.told == "1 run of other programs, left alone"
    assert [finding.todo for finding in (away, alive, other)] == [None] * 3


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    (found,) = look_at_store(None, str(tmp_path / "runs"), fix=True)
    assert found.todo is None
    assert "nothing is recorded here yet" in found.told
    assert not (tmp_path / "runs").exists()


def test_a_store_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        (found,) = look_at_store(f"http://127.0.0.1:{bound.getsockname()[1]}", "runs", fix=False)
    assert found.todo is not None
    assert "no MLflow server answers" in found.told
    (tmp_path / "mlflow.db").write_text("this is no database, but it is long enough to be taken for one" * 20)
    (found,) = look_at_store(None, str(tmp_path), fix=False)
    assert found.todo is not None
    assert "no MLflow store that can be read" in found.told


def test_the_doctor_looks_at_everything_and_starts_nothing(home: Path, tmp_path: Path) -> None:
    environ = {"RAY_AUTH_MODE": "token", "RAYSEG_CACHE": str(tmp_path)}
    topics = [finding.topic for finding in doctor(str(tmp_path / "runs"), environ=environ, home=home)]
    assert topics[0] == "python"
    assert topics[-8:] == ["devices", "compiler", "storage", "cache", "shared memory", "ray auth", "ray cluster", "mlflow"]


def test_the_command_ends_with_1_only_when_something_is_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert main(["doctor", "--storage", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out.endswith("\nnothing to do\n")
    monkeypatch.setenv("RAY_AUTH_MODE", "tokens")
    assert main(["doctor", "--storage", str(tmp_path / "runs")]) == 1
    told = capsys.readouterr().out
    assert "\n->  ray auth " in told
    assert "export RAY_AUTH_MODE=token" in told
    assert told.endswith("\n1 to do\n")


@pytest.mark.tracking
def test_dead_runs_are_found_in_every_experiment_and_closed_on_demand(tmp_path: Path) -> None:
    from rayseg.tracking import MlflowStore, resolve_uri

    uri = resolve_uri(None, str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", ""])
    dead = owner_tags(child.pid)
    child.wait()
    first, second = MlflowStore(uri, "first"), MlflowStore(uri, "second")
    first.start_run("killed", params={}, tags={}, owner=dead)
    first.start_run("working", params={}, tags={}, owner=owner_tags())
    second.start_run("killed too", params={}, tags={}, owner=dead)
    second.start_run("far", params={}, tags={}, owner={**dead, "rayseg.host": "elsewhere"})

    found = look_at_store(None, str(tmp_path), fix=False)
    assert "4 runs in 3 experiments" in found[0].told
    assert [finding.topic for finding in found if finding.todo] == ["first, open", "second, open"]
    fixed = look_at_store(None, str(tmp_path), fix=True)
    assert [finding for finding in fixed if finding.todo] == []
    assert sum("marked as KILLED" in finding.told for finding in fixed) == 2
    assert [run.name for run in first.open_runs()] == ["working"]
    assert [run.name for run in second.open_runs()] == ["far"]
    assert not any("whose process" in finding.told for finding in look_at_store(uri, "unused", fix=True))


@pytest.mark.tracking
def test_a_schema_of_another_mlflow_is_told_with_the_upgrade(tmp_path: Path) -> None:
    from rayseg.tracking import MlflowStore, resolve_uri

    MlflowStore(resolve_uri(None, str(tmp_path)), "first").prepare()
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0a8213491aaa'")
    database.close()
    copy = tmp_path / "copy"
    copy.mkdir()
    (tmp_path / "mlflow.db").rename(copy / "mlflow.db")  # another path: MLflow keeps what it has opened
    (found,) = look_at_store(None, str(copy), fix=False)
    assert "mlflow db upgrade" in str(found.todo)


@pytest.mark.ray
def test_a_running_cluster_answers(ray_cluster: None) -> None:
    import ray

    (found,) = look_at_addresses({"RAY_ADDRESS": ray.get_runtime_context().gcs_address})
    assert found.todo is None


@pytest.mark.ray
def test_ray_itself_refuses_what_the_doctor_says_it_refuses(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environ = {**kept, "HOME": str(tmp_path), "RAY_AUTH_MODE": "token", "RAY_ADDRESS": "http://127.0.0.1:1"}
    assert look_at_authentication(environ, tmp_path).todo is not None
    ray = str(Path(sys.executable).parent / "ray")
    tried = subprocess.run([ray, "job", "list"], env=environ, capture_output=True, text=True, timeout=SUBMIT_S, check=False)
    assert "Token authentication is enabled" in tried.stdout + tried.stderr
