from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rayseg.errors import TrackingError
from rayseg.tracking import MlflowTracker, NullTracker, TextTracker, TrackerGroup, metrics_line, read_history
from rayseg.tracking.tracker import RunStatus


class FakeStore:
    """Keeps what it is given; refuses rows while ``broken``."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.calls: list[tuple[Any, ...]] = []
        self.broken = False
        self.written = threading.Event()

    def log_batch(self, run_id: str, rows: list[tuple[int, dict[str, float]]]) -> None:  # noqa: ARG002
        if self.broken:
            raise TrackingError("disk full")
        self.rows += rows
        self.written.set()

    def log_picture(self, run_id: str, name: str, step: int, png: bytes) -> None:
        self.calls.append(("picture", run_id, name, step, png))

    def log_artifact(self, run_id: str, path: str, data: bytes) -> None:
        self.calls.append(("artifact", run_id, path, data))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self.calls.append(("tags", run_id, dict(tags)))

    def finish(self, run_id: str, status: RunStatus) -> None:
        self.calls.append(("finish", run_id, status))


class FailingTracker(NullTracker):
    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:  # noqa: ARG002
        raise OSError("no space left")


def slow_tracker(store: FakeStore, **options: Any) -> MlflowTracker:
    return MlflowTracker(store, "r", flush_every_s=3600, **options)


def test_importing_tracking_imports_no_tracker_of_somebody_else() -> None:
    code = "import rayseg.tracking, sys; sys.exit(bool({'mlflow', 'ray', 'tensorboard', 'wandb'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_group_serves_every_tracker_before_it_raises(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    group = TrackerGroup([FailingTracker(), TextTracker(path, None)])
    with pytest.raises(TrackingError, match="1 of 2 trackers failed: OSError: no space left"):
        group.log_metrics(1, {"train/loss": 0.5})
    assert read_history(path) == [(1, {"train/loss": 0.5})]


def test_a_group_has_the_run_id_of_its_first_tracker_that_has_one() -> None:
    tracker = slow_tracker(FakeStore())
    assert TrackerGroup([NullTracker(), tracker]).run_id == "r"
    tracker.finish("FINISHED")


def test_a_group_passes_every_call_on() -> None:
    store = FakeStore()
    group = TrackerGroup([slow_tracker(store)])
    group.log_metrics(1, {"a": 1.0})
    group.flush()
    assert store.rows == [(1, {"a": 1.0})]
    group.log_picture("p", 2, b"png")
    group.log_artifact("config.yaml", b"x")
    group.set_tags({"k": "v"})
    group.finish("FAILED")
    assert store.calls == [
        ("picture", "r", "p", 2, b"png"),
        ("artifact", "r", "config.yaml", b"x"),
        ("tags", "r", {"k": "v"}),
        ("finish", "r", "FAILED"),
    ]


def test_buffered_rows_reach_the_store_by_themselves() -> None:
    store = FakeStore()
    tracker = MlflowTracker(store, "r", flush_every_s=0.01)
    tracker.log_metrics(1, {"a": 1.0})
    assert store.written.wait(30)
    tracker.finish("FINISHED")
    assert store.rows == [(1, {"a": 1.0})]


def test_rows_survive_a_store_that_fails_and_comes_back() -> None:
    store = FakeStore()
    tracker = slow_tracker(store)
    store.broken = True
    tracker.log_metrics(1, {"a": 1.0})
    with pytest.raises(TrackingError, match="disk full"):
        tracker.flush()
    store.broken = False
    tracker.log_metrics(2, {"a": 2.0})
    tracker.finish("FINISHED")
    assert store.rows == [(1, {"a": 1.0}), (2, {"a": 2.0})]


def test_a_full_buffer_raises_instead_of_dropping() -> None:
    tracker = slow_tracker(FakeStore(), max_rows=2)
    tracker.log_metrics(1, {"a": 1.0})
    tracker.log_metrics(2, {"a": 1.0})
    with pytest.raises(TrackingError, match="2 rows wait to be written"):
        tracker.log_metrics(3, {"a": 1.0})
    tracker.finish("FINISHED")


def test_a_run_is_closed_even_if_the_last_rows_cannot_be_written() -> None:
    store = FakeStore()
    tracker = slow_tracker(store)
    tracker.log_metrics(1, {"a": 1.0})
    store.broken = True
    with pytest.raises(TrackingError, match="disk full"):
        tracker.finish("FAILED")
    assert ("finish", "r", "FAILED") in store.calls


def test_many_threads_lose_no_row() -> None:
    store = FakeStore()
    tracker = MlflowTracker(store, "r", flush_every_s=0.001)

    def log(start: int) -> None:
        for step in range(start, start + 200):
            tracker.log_metrics(step, {"a": float(step)})

    threads = [threading.Thread(target=log, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tracker.finish("FINISHED")
    assert sorted(step for step, _ in store.rows) == [1000 * n + k for n in range(4) for k in range(200)]


def test_a_row_that_arrives_during_a_write_is_kept() -> None:
    class BusyStore(FakeStore):
        def log_batch(self, run_id: str, rows: list[tuple[int, dict[str, float]]]) -> None:
            super().log_batch(run_id, rows)
            if len(self.rows) == 1:
                tracker.log_metrics(2, {"a": 2.0})

    store = BusyStore()
    tracker = slow_tracker(store)
    tracker.log_metrics(1, {"a": 1.0})
    tracker.flush()
    tracker.finish("FINISHED")
    assert store.rows == [(1, {"a": 1.0}), (2, {"a": 2.0})]


def test_the_buffer_keeps_the_values_of_the_moment() -> None:
    store = FakeStore()
    tracker = slow_tracker(store)
    metrics = {"a": 1.0}
    tracker.log_metrics(1, metrics)
    metrics["a"] = 2.0
    tracker.finish("FINISHED")
    assert store.rows == [(1, {"a": 1.0})]


def test_a_text_file_continues_without_a_step_twice_and_without_the_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    first = TextTracker(path, None)
    for step in (1, 2, 3):
        first.log_metrics(step, {"train/loss": 1 / step})
    with path.open("a") as file:
        file.write('{"step": 4, "met')
    again = TextTracker(path, None)
    for step in (2, 3, 4):
        again.log_metrics(step, {"train/loss": 1 / step})
    again.log_metrics(3, {"val/mIoU": 0.5})
    assert read_history(path) == [*((step, {"train/loss": 1 / step}) for step in (1, 2, 3, 4)), (3, {"val/mIoU": 0.5})]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_what_is_not_finite_is_null_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.jsonl"
    TextTracker(path, None).log_metrics(1, {"a": math.nan, "b": math.inf, "c": 1.0})
    assert json.loads(path.read_text())["metrics"] == {"a": None, "b": None, "c": 1.0}
    assert math.isnan(read_history(path)[0][1]["a"])


def test_pictures_and_artifacts_become_files_beside_the_lines(tmp_path: Path) -> None:
    tracker = TextTracker(tmp_path / "log.jsonl", None)
    tracker.log_picture("val/0", 300, b"png")
    tracker.log_artifact("config.yaml", b"seed: 0")
    tracker.set_tags({"k": "v"})
    tracker.finish("FINISHED")
    assert (tmp_path / "pictures" / "val" / "0" / "step_000300.png").read_bytes() == b"png"
    assert (tmp_path / "config.yaml").read_bytes() == b"seed: 0"
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [
        {"tags": {"k": "v"}},
        {"status": "FINISHED"},
    ]


def test_lines_for_people_hide_classes_terms_and_timings() -> None:
    stream = io.StringIO()
    tracker = TextTracker(None, stream, total_steps=300)
    tracker.log_metrics(
        20, {"train/loss": 0.71, "train/loss/ce": 0.5, "train/lr/a": 0.01, "train/lr/b": 0.1, "perf/step_s": 0.1}
    )
    tracker.log_metrics(21, {"train/loss/ce": 0.5, "perf/data_s": 0.1})
    tracker.log_metrics(20, {"val/mIoU": 0.6123, "val/IoU/car": 0.9, "my/score": 3.0})
    assert stream.getvalue() == "step  20/300  loss 0.71  lr 0.01..0.1\nstep  20/300  my/score 3  val  mIoU 0.6123\n"


def test_a_line_without_a_known_end_shows_the_step_alone() -> None:
    assert metrics_line(7, {"train/loss": 1.0, "perf/images_per_s": 31.234}) == "step 7  loss 1  31.2 images/s"
