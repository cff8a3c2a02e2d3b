from __future__ import annotations

import math
import multiprocessing
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rayseg.errors import TrackingError
from rayseg.tracking import MlflowStore, MlflowTracker, owner_is_alive, owner_tags, resolve_uri, sqlite_path

pytestmark = pytest.mark.tracking

PICTURE = b"not really a png"


def client_of(store: MlflowStore) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)


def run_of(store: MlflowStore, run_id: str) -> Any:
    return client_of(store).get_run(run_id)


def history(store: MlflowStore, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client_of(store).get_metric_history(run_id, name)]


def started(store: MlflowStore, name: str = "run", **options: Any) -> str:
    return store.start_run(name, **{"params": {}, "tags": {}, **options})


def file_of(store: MlflowStore, run_id: str, path: str) -> bytes:
    return Path(client_of(store).download_artifacts(run_id, path)).read_bytes()


def test_a_run_holds_what_was_given(store: MlflowStore) -> None:
    run_id = started(
        store, "baseline", params={"optim.lr": 0.01, "sampling": None, "optim.nesterov": True}, tags={"kind": "trial"}
    )
    store.log_batch(run_id, [(1, {"train/loss": 0.9}), (2, {"train/loss": 0.8, "val/IoU/road & marking": 0.5})])
    store.log_artifact(run_id, "config.yaml", b"seed: 0\n")
    store.log_picture(run_id, "val_0", 300, PICTURE)
    store.finish(run_id, "FINISHED")
    run = run_of(store, run_id)
    assert (run.info.run_name, run.info.status) == ("baseline", "FINISHED")
    assert run.data.params == {"optim.lr": "0.01", "sampling": "null", "optim.nesterov": "true"}
    assert run.data.tags["kind"] == "trial"
    assert run.data.metrics == {"train/loss": 0.8, "val/IoU/road _ marking": 0.5}
    assert history(store, run_id, "train/loss") == [(1, 0.9), (2, 0.8)]
    assert file_of(store, run_id, "config.yaml") == b"seed: 0\n"
    assert file_of(store, run_id, "pictures/val_0/step_000300.png") == PICTURE
    assert file_of(store, run_id, "val_0.png") == PICTURE


def test_artifacts_lie_beside_the_database(store: MlflowStore) -> None:
    run_id = started(store)
    store.log_artifact(run_id, "deep/note.txt", b"x")
    path = sqlite_path(store.uri)
    assert path is not None
    assert (path.parent / "mlartifacts" / run_id / "artifacts" / "deep" / "note.txt").read_bytes() == b"x"


def test_a_restart_writes_no_step_twice(store: MlflowStore) -> None:
    run_id = started(store)
    store.log_batch(run_id, [(step, {"train/loss": 1.0 / step}) for step in range(1, 9)])
    store.log_metrics(run_id, 4, {"val/mIoU": 0.4})
    again = MlflowStore(store.uri, store.experiment)
    assert again.last_step(run_id) == 8
    assert started(again, run_id=run_id) == run_id
    again.log_batch(run_id, [(step, {"train/loss": 1.0 / step}) for step in range(6, 11)])
    again.log_metrics(run_id, 8, {"val/mIoU": 0.5})
    assert [step for step, _ in history(store, run_id, "train/loss")] == list(range(1, 11))
    assert history(store, run_id, "val/mIoU") == [(4, 0.4), (8, 0.5)]


def test_a_continued_run_is_running_again_with_its_parameters_and_new_tags(store: MlflowStore) -> None:
    run_id = started(store, params={"optim.lr": 0.01}, tags={"attempt": "1"})
    store.finish(run_id, "FAILED")
    started(store, run_id=run_id, params={"optim.lr": 0.5, "new": 1}, tags={"attempt": "2"}, owner=owner_tags())
    run = run_of(store, run_id)
    assert run.info.status == "RUNNING"
    assert run.data.params == {"optim.lr": "0.01"}
    assert run.data.tags["attempt"] == "2"
    assert owner_is_alive(run.data.tags)


def test_a_child_whose_id_was_not_written_down_before_a_kill_is_found_by_its_name(store: MlflowStore) -> None:
    parent, other = started(store, "sweep"), started(store, "other sweep")
    elsewhere = started(store, "ohem-1", parent_run_id=other)
    lost = started(store, "ohem-1", parent_run_id=parent, params={"optim.lr": 0.01})
    store.finish(lost, "KILLED")
    again = {"parent_run_id": parent, "params": {"optim.lr": 0.01, "seed": 1}, "tags": {"rayseg.kind": "trial"}, "begun": True}
    assert started(store, "ohem-1", **again) == lost
    assert started(store, "ohem-2", **again) not in {lost, elsewhere}
    run = run_of(store, lost)
    assert (run.info.status, run.data.params, run.data.tags["rayseg.kind"]) == (
        "RUNNING",
        {"optim.lr": "0.01", "seed": "1"},
        "trial",
    )


@pytest.mark.parametrize(
    ("first", "second", "last"),
    [("FINISHED", "KILLED", "FINISHED"), ("FAILED", "KILLED", "FAILED"), ("KILLED", "FINISHED", "FINISHED"), ("FINISHED",) * 3],
)
def test_a_status_only_improves(store: MlflowStore, first: Any, second: Any, last: str) -> None:
    run_id = started(store)
    store.finish(run_id, first)
    ended = run_of(store, run_id).info.end_time
    store.finish(run_id, second)
    assert run_of(store, run_id).info.status == last
    assert ended is not None


def test_values_that_are_not_finite_are_kept_as_nan(store: MlflowStore) -> None:
    run_id = started(store)
    store.log_metrics(run_id, 1, {"a": math.nan, "b": math.inf, "c": 1.0})
    metrics = run_of(store, run_id).data.metrics
    assert math.isnan(metrics["a"])
    assert math.isnan(metrics["b"])
    assert metrics["c"] == 1.0


def test_many_and_long_parameters_and_tags_are_kept(store: MlflowStore) -> None:
    long = "x" * 7000
    run_id = started(store, params={**{f"p{k}": k for k in range(250)}, "long": long}, tags={"long": "y" * 9000})
    run = run_of(store, run_id)
    assert len(run.data.params) == 251
    assert run.data.params["long"].endswith("... (in params/long.txt)")
    assert run.data.tags["long"].endswith("... (in config.yaml)")
    assert file_of(store, run_id, "params/long.txt").decode() == long


def test_more_metrics_than_a_call_may_hold_are_written(store: MlflowStore) -> None:
    run_id = started(store)
    store.log_batch(run_id, [(step, {f"m{k}": 1.0 for k in range(50)}) for step in range(1, 25)])
    assert [step for step, _ in history(store, run_id, "m49")] == list(range(1, 25))


def test_runs_of_dead_owners_are_closed_and_no_others(store: MlflowStore) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        dead = started(store, "dead", owner=owner_tags(child.pid))
        child.kill()
        child.wait()
    recycled = started(store, "recycled", owner={**owner_tags(), "rayseg.pid_started": "long ago"})
    alive = started(store, "alive", owner=owner_tags(), tags={"sweep": "s1"})
    foreign = started(store, "foreign")
    done = started(store, "done", owner={**owner_tags(), "rayseg.pid_started": "long ago"})
    store.finish(done, "FINISHED")
    assert sorted(store.close_stale_runs(owner_is_alive)) == sorted([dead, recycled])
    assert {run.run_id for run in store.open_runs()} == {alive, foreign}
    assert [run.name for run in store.open_runs({"sweep": "s1"})] == ["alive"]
    assert {run_of(store, run_id).info.status for run_id in (dead, recycled)} == {"KILLED"}
    assert run_of(store, done).info.status == "FINISHED"


def test_a_leaderboard_shows_what_differs_and_the_scores(store: MlflowStore) -> None:
    parent = started(store, "sweep")
    for lr, score in ((0.1, 0.5), (0.2, 0.6)):
        child = started(store, f"lr{lr}", params={"optim.lr": lr, "seed": 0}, parent_run_id=parent)
        store.log_batch(child, [(10, {"val/mIoU": score / 2}), (20, {"val/mIoU": score})])
        store.finish(child, "FINISHED")
    started(store, "stranger")
    rows = store.leaderboard(parent)
    for row in rows:
        assert len(row.pop("run_id")) == 32
    assert rows == [
        {"name": "lr0.1", "optim.lr": 0.1, "step": 20, "status": "FINISHED", "val/mIoU": 0.5},
        {"name": "lr0.2", "optim.lr": 0.2, "step": 20, "status": "FINISHED", "val/mIoU": 0.6},
    ]


def test_a_tracker_writes_through_to_the_store(store: MlflowStore) -> None:
    run_id = started(store)
    tracker = MlflowTracker(store, run_id, flush_every_s=0.05)
    for step in range(1, 40):
        tracker.log_metrics(step, {"train/loss": 1.0 / step})
    tracker.set_tags({"changed": "optim.lr=0.02"})
    tracker.finish("FINISHED")
    assert [step for step, _ in history(store, run_id, "train/loss")] == list(range(1, 40))
    assert run_of(store, run_id).info.status == "FINISHED"


def test_a_run_that_is_not_there_is_named(store: MlflowStore) -> None:
    with pytest.raises(TrackingError, match=r"mlflow\.db, experiment .*could not start run 'x'.*" + "0" * 32):
        started(store, "x", run_id="0" * 32)


def test_a_deleted_run_cannot_be_continued(store: MlflowStore) -> None:
    run_id = started(store)
    client_of(store).delete_run(run_id)
    with pytest.raises(TrackingError, match="is deleted and cannot be continued"):
        started(store, run_id=run_id)


def test_nothing_global_is_set_or_made(store: MlflowStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    store.log_artifact(started(store), "a.txt", b"x")
    assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() == before
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_an_error_that_says_where(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is text, and long enough not to be taken for an empty file" * 40)
    with pytest.raises(TrackingError, match=r"mlflow\.db, experiment 'e': could not open the store"):
        MlflowStore(resolve_uri(f"sqlite:///{tmp_path}/mlflow.db", "x"), "e").prepare()


def _prepare(uri: str) -> str:
    store = MlflowStore(uri, "shared")
    store.prepare()
    run_id = started(store)
    store.log_metrics(run_id, 1, {"a": 1.0})
    store.finish(run_id, "FINISHED")
    return store.experiment_id


def test_processes_that_open_a_fresh_store_together_all_succeed(tmp_path: Path) -> None:
    uri = resolve_uri(f"sqlite:///{tmp_path}/new/mlflow.db", "unused")
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        ids = pool.map(_prepare, [uri] * 4, chunksize=1)
    assert len(set(ids)) == 1
    with sqlite3.connect(tmp_path / "new" / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'").fetchone() == (4,)
