"""A registered model: what torch loads, what pyfunc loads and what a server answers are the classes that ``predict`` finds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import rayseg
from rayseg.cli import main
from rayseg.errors import CheckpointError, ConfigError, TrackingError
from rayseg.launch import Registered
from rayseg.launch.confirmed import SeedRun, write_stage
from rayseg.launch.crowning import register_standing
from rayseg.launch.registering import name_problems
from rayseg.launch.run import TrainResult
from rayseg.testing import tiny_experiment

pytestmark = [pytest.mark.tracking, pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")]

START_S = 180.0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    changes = {"tracking.name": "small", "tracking.mlflow": {"experiment": "tests"}, "data.dataset.size": [64, 96]}
    return rayseg.train(tiny_experiment(**{**changes, "tracking.storage": str(tmp_path_factory.mktemp("runs"))}))


@pytest.fixture(scope="module")
def registered(trained: TrainResult) -> Registered:
    return rayseg.register(trained.directory, "streets", alias="champion")


@pytest.fixture(scope="module")
def mlflow(registered: Registered) -> Iterator[Any]:
    import mlflow

    mlflow.set_tracking_uri(registered.uri)  # MLflow writes it into the environment, too
    yield mlflow
    mlflow.set_tracking_uri(None)
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 80, 112, 3), np.uint8)


@pytest.fixture(scope="module")
def classes(trained: TrainResult, images: np.ndarray) -> np.ndarray:
    assert trained.checkpoint is not None
    return np.stack(list(rayseg.predict(trained.checkpoint, list(images))))


def as_batch(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)


def test_torch_and_pyfunc_find_what_predict_finds(
    mlflow: Any, registered: Registered, images: np.ndarray, classes: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    module = mlflow.pytorch.load_model(registered.model_uri)
    found = module(torch.from_numpy(as_batch(images)))
    assert found.dtype == torch.int64
    assert np.array_equal(found.numpy(), classes)
    function = mlflow.pyfunc.load_model(registered.model_uri)
    assert np.array_equal(function.predict(as_batch(images)), classes)
    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        function.predict(images)  # channels last
    example = function.input_example
    assert function.predict(example).shape == (2, 64, 96)


def test_it_is_used_without_rayseg(registered: Registered, images: np.ndarray, classes: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "asked.npz", images=as_batch(images), classes=classes)
    script = """
import sys, numpy, mlflow
sys.modules["rayseg"] = None
asked = numpy.load("asked.npz")
found = mlflow.pyfunc.load_model(sys.argv[1]).predict(asked["images"])
assert (found == asked["classes"]).all()
"""
    environ = {**os.environ, "MLFLOW_TRACKING_URI": registered.uri}
    subprocess.run([sys.executable, "-c", script, registered.model_uri], cwd=tmp_path, env=environ, check=True, timeout=START_S)


def test_the_registry_tells_where_it_comes_from(mlflow: Any, registered: Registered, trained: TrainResult) -> None:
    client = mlflow.MlflowClient()
    version = client.get_model_version_by_alias("streets", "champion")
    assert (str(version.version), version.run_id) == (registered.version, trained.run_id)
    assert version.tags["rayseg.winner"] == "best checkpoint of small"
    assert version.tags["val/mIoU"] == f"{trained.metrics['val/mIoU']:.4f}"
    info = mlflow.models.get_model_info(registered.model_uri)
    assert str(info.signature.inputs).count("-1, 3, -1, -1") == 1
    assert info.metadata["class_names"][0] == "sky"
    assert info.metadata["input"].endswith("float32, RGB 0-255")
    experiment = client.get_run(trained.run_id).info.experiment_id
    assert client.search_logged_models([experiment])[-1].source_run_id == trained.run_id


def test_an_alias_goes_to_the_newest_version(mlflow: Any, registered: Registered, trained: TrainResult) -> None:
    client = mlflow.MlflowClient()
    again = rayseg.register(str(trained.checkpoint), "streets", alias="candidate")
    assert int(again.version) == int(registered.version) + 1
    assert str(client.get_model_version_by_alias("streets", "champion").version) == registered.version
    rayseg.register(trained.directory, "streets", alias="candidate")
    assert int(client.get_model_version_by_alias("streets", "candidate").version) == int(again.version) + 1


def test_a_confirmed_winner_is_registered_once_and_a_baseline_is_not(
    mlflow: Any, registered: Registered, trained: TrainResult, tmp_path: Path
) -> None:
    directory = tmp_path / "ohem"
    run = shutil.copytree(trained.directory, directory / "confirm" / "confirm-t1-seed1")
    checkpoint = run / Path(str(trained.checkpoint)).relative_to(trained.directory)
    write_stage(directory, "first", [SeedRun("t1", 1, str(run), str(checkpoint), None)])
    (directory / "confirm" / "confirmation.json").write_text(json.dumps({"standing": "t1"}))
    assert register_standing(directory, "baseline", "crowned@champion") is None
    first = register_standing(directory, "t1", "crowned@champion")
    assert first is not None
    assert (first.model_uri, first.winner.why) == ("models:/crowned@champion", "recipe t1 of ohem, confirmed")
    assert register_standing(directory, "t1", "crowned@champion") == first
    (directory / "confirm" / "registered.json").unlink()  # as after a kill between the store and this file
    mlflow.MlflowClient().delete_registered_model_alias("crowned", "champion")
    assert register_standing(directory, "t1", "crowned@champion") == first
    assert str(mlflow.MlflowClient().get_model_version_by_alias("crowned", "champion").version) == first.version
    assert [str(version.version) for version in mlflow.MlflowClient().search_model_versions("name = 'crowned'")] == [
        first.version
    ]


def _answer(address: str, batch: np.ndarray) -> Any:
    asked = urllib.request.Request(
        f"{address}/invocations", json.dumps({"inputs": batch.tolist()}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.loads(answer.read())


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=2).close()
            return
        except OSError:
            time.sleep(0.3)
    pytest.fail("the server did not start")


def test_a_server_answers_with_the_classes_of_a_posted_batch(
    registered: Registered, images: np.ndarray, classes: np.ndarray, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["models", "serve", "-m", registered.model_uri, "--env-manager", "local", "--port", str(port), "--workers", "1"]
    environ = {
        **os.environ,
        "MLFLOW_TRACKING_URI": registered.uri,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    log = (tmp_path / "log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words], env=environ, stdout=log, stderr=log, start_new_session=True
    )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(address, server)
        assert np.array_equal(np.array(_answer(address, as_batch(images))["predictions"]), classes)
    finally:
        family = (
            [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)] if server.poll() is None else []
        )
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(timeout=30)
        log.close()
        psutil.wait_procs(family, timeout=30)
        assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_what_cannot_be_registered_is_told_before_anything_is_made(trained: TrainResult, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name: got 'a/b'"):
        rayseg.register(trained.directory, "a/b")
    for alias in ("latest", "v3", "the best"):
        assert [each.path for each in name_problems("streets", alias)] == ["alias"]
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        rayseg.register(tmp_path, "streets")
    with pytest.raises(TrackingError, match="no MLflow server answers"):
        rayseg.register(trained.directory, "streets", uri="http://127.0.0.1:1")


def test_a_run_that_was_moved_away_from_its_store_says_so(
    trained: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(trained.directory, tmp_path / "small")
    with pytest.raises(ConfigError, match="--uri"):
        rayseg.register(tmp_path / "small", "streets")


def test_the_command_says_how_it_is_used(trained: TrainResult, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["register", str(trained.directory), "streets@shown"]) == 0
    told = capsys.readouterr().out
    assert "models:/streets@shown --env-manager local" in told
    assert "best checkpoint of small" in told
    assert "N x 3 x H x W" in told
