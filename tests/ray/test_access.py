"""A tracking server that wants a name: runs are recorded there from every process, and the password is nowhere afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ray
import rayseg
from rayseg.config import ExperimentConfig
from rayseg.errors import TrackingError
from rayseg.space import choice
from rayseg.testing import tiny_experiment
from rayseg.tracking import MlflowStore, run_url
from tests.tracking.guarded import PASSWORD, USER, guarded_server

pytestmark = pytest.mark.ray

Tiny = Callable[..., ExperimentConfig]


@pytest.fixture(scope="module")
def server(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Asked for after the cluster, whose processes were started without the name."""
    with guarded_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)


def experiment(server: str, tmp_path: Path, name: str) -> ExperimentConfig:
    where = {"tracking.storage": str(tmp_path), "tracking.name": name, "tracking.mlflow": {"uri": server, "experiment": "kept"}}
    return tiny_experiment(**{"data.dataset.size": [32, 64], "tracking.pictures": 1, **where})


def holding(secret: str, *folders: Path) -> list[str]:
    files = [each for folder in folders for each in folder.rglob("*") if each.is_file()]
    assert files
    return [str(each) for each in files if secret.encode() in each.read_bytes()]


def test_a_search_is_recorded_and_its_password_is_nowhere(
    server: str, named: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = experiment(server, tmp_path, "guarded")
    found = rayseg.sweep(base, {"optim.lr": choice([0.01])}, searcher="grid", scheduler=None, max_concurrent=1)
    assert found.run_id is not None
    store = MlflowStore(server, "kept")
    rows = store.leaderboard(found.run_id)
    assert [row["status"] for row in rows] == ["FINISHED", "FINISHED"]
    assert f"MLflow  {run_url(server, store.experiment_id, found.run_id)}\n" in capsys.readouterr().out
    session = Path(ray._private.worker._global_node.get_session_dir_path())
    assert holding(PASSWORD, tmp_path, session / "logs") == []
    assert holding("guarded", tmp_path) != []  # it looks into the files


def test_without_a_name_nothing_starts(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # MLflow keeps names there, too
    base, alone = (experiment(server, tmp_path, name) for name in ("refused", "refused-run"))
    told = r"does not let us in without a name \(401\); set MLFLOW_TRACKING_USERNAME"
    for start in (lambda: rayseg.sweep(base, {"optim.lr": choice([0.01])}), lambda: rayseg.train(alone)):
        with pytest.raises(TrackingError, match=told):
            start()
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with pytest.raises(TrackingError, match=f"as '{USER}'") as refused:
        rayseg.train(alone.with_({"scaling.workers": 1}))
    assert "wrong" not in str(refused.value)
    assert not list(tmp_path.glob("refused/*-baseline"))
