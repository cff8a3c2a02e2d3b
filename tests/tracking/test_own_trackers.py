"""Trackers that write from a run's own process: TensorBoard's event files, and Weights & Biases."""

from __future__ import annotations

import json
import math
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rayseg.build import check
from rayseg.config import ExperimentConfig
from rayseg.errors import TrackingError
from rayseg.launch import train
from rayseg.launch.records import own_trackers
from rayseg.tracking import TextTracker, Tracker, WandbTracker, encode_png, read_history
from tests.build.small import BASE
from tests.tracking.fakes import FakeWandb

PNG = encode_png(np.full((4, 6, 3), 7, np.uint8))
Rows = list[tuple[int, dict[str, float]]]


class TensorBoard:
    """Makes a tracker over a directory, and reads back what is there."""

    def __init__(self) -> None:
        pytest.importorskip("tensorboard")

    def open(self, directory: Path) -> Tracker:
        from rayseg.tracking import TensorBoardTracker

        return TensorBoardTracker(directory)

    def read(self, directory: Path) -> Rows:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(directory), size_guidance={"scalars": 0}).Reload()
        return sorted(
            ((event.step, {tag: event.value}) for tag in events.Tags()["scalars"] for event in events.Scalars(tag)),
            key=lambda row: (row[0], list(row[1])),
        )


class Wandb:
    """The same for W&B."""

    def __init__(self) -> None:
        self.module = FakeWandb()

    def open(self, directory: Path) -> Tracker:
        return WandbTracker(directory, name="first", module=self.module)

    def read(self, directory: Path) -> Rows:  # noqa: ARG002
        rows = [
            (row["step"], name, row[name]) for run in self.module.runs for row in run.rows for name in row if name != "step"
        ]
        return [(step, {name: value}) for step, name, value in sorted(rows)]


class Text:
    """The same for JSON lines."""

    def open(self, directory: Path) -> Tracker:
        return TextTracker(directory / "log.jsonl", None)

    def read(self, directory: Path) -> Rows:
        rows = [(step, name, value) for step, row in read_history(directory / "log.jsonl") for name, value in row.items()]
        return [(step, {name: value}) for step, name, value in sorted(rows)]


def texts(events: Any, tag: str) -> list[str]:
    return [each.tensor_proto.string_val[0].decode() for each in events.Tensors(tag)]


@pytest.fixture(params=[TensorBoard, Wandb, Text], ids=["tensorboard", "wandb", "text"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param()


def test_a_run_that_repeats_steps_after_a_restart_has_each_value_once(kind: Any, tmp_path: Path) -> None:
    first = kind.open(tmp_path)
    for step in (1, 2, 3):
        first.log_metrics(step, {"train/loss": 1 / 2**step})
    first.flush()  # and the process dies
    again = kind.open(tmp_path)
    for step in (2, 3, 4):
        again.log_metrics(step, {"train/loss": 1 / 2**step})
    again.log_metrics(3, {"val/IoU/side walk & kerb": 0.5})
    again.finish("FINISHED")
    assert kind.read(tmp_path) == [
        (1, {"train/loss": 0.5}),
        (2, {"train/loss": 0.25}),
        (3, {"train/loss": 0.125}),
        (3, {"val/IoU/side walk & kerb": 0.5}),
        (4, {"train/loss": 0.0625}),
    ]


def test_what_is_not_finite_is_recorded(kind: Any, tmp_path: Path) -> None:
    tracker = kind.open(tmp_path)
    tracker.log_metrics(1, {"val/IoU/car": math.nan})
    tracker.finish("FAILED")
    ((step, row),) = kind.read(tmp_path)
    assert (step, math.isnan(row["val/IoU/car"])) == (1, True)


def test_tensorboard_shows_pictures_texts_and_tags_and_keeps_other_files(tmp_path: Path) -> None:
    tracker = TensorBoard().open(tmp_path)
    tracker.log_metrics(7, {"train/loss": 1.0})
    for _ in range(2):
        tracker.log_picture("val_0", 7, PNG)
        tracker.log_artifact("config.yaml", b"seed: 3")
    tracker.log_artifact("confusion.png", PNG)
    tracker.log_artifact("deep/table.parquet", b"bytes")
    tracker.set_tags({"rayseg.model": "small_unet"})
    tracker.finish("KILLED")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path)).Reload()
    assert {tag: [(each.step, each.width, each.height) for each in events.Images(tag)] for tag in events.Tags()["images"]} == {
        "val_0": [(7, 6, 4)],
        "confusion": [(7, 6, 4)],
    }
    texts = {
        tag: [each.tensor_proto.string_val[0].decode() for each in events.Tensors(tag)] for tag in events.Tags()["tensors"]
    }
    assert texts == {
        "config.yaml/text_summary": ["```yaml\nseed: 3\n```"],
        "tags/text_summary": ["| tag | value |\n| --- | --- |\n| rayseg.model | small_unet |"],
        "status/text_summary": ["KILLED"],
    }
    assert (tmp_path / "deep" / "table.parquet").read_bytes() == b"bytes"


def test_tensorboard_goes_on_after_a_file_that_a_crash_tore(tmp_path: Path) -> None:
    kind = TensorBoard()
    first = kind.open(tmp_path)
    for step in (1, 2, 3):
        first.log_metrics(step, {"train/loss": 0.5})
    first.flush()
    (file,) = tmp_path.glob("events*")
    file.write_bytes(file.read_bytes()[:-5])
    again = kind.open(tmp_path)
    for step in (1, 2, 3):
        again.log_metrics(step, {"train/loss": 0.5})
    again.finish("FINISHED")
    file.unlink()
    assert kind.read(tmp_path) == [(3, {"train/loss": 0.5})], "only what was torn is written again"


def test_tensorboard_shows_the_last_status_and_every_tag(tmp_path: Path) -> None:
    """All at one step: a run says its tags, and from which weights it starts; it is killed, goes on and ends."""
    pytest.importorskip("tensorboard")
    first = TensorBoard().open(tmp_path)
    first.set_tags({"rayseg.model": "small_unet"})
    first.set_tags({"rayseg.init": "a.pth"})
    first.finish("KILLED")
    again = TensorBoard().open(tmp_path)
    again.set_tags({"rayseg.goes_on": "yes", "rayseg.model": "small_unet"})
    again.finish("FINISHED")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path)).Reload()
    assert texts(events, "status/text_summary")[-1] == "FINISHED"
    rows = texts(events, "tags/text_summary")[-1].splitlines()[2:]
    assert rows == ["| rayseg.model | small_unet |", "| rayseg.init | a.pth |", "| rayseg.goes_on | yes |"]


def test_wandb_is_told_who_the_run_is_and_continues_it(tmp_path: Path) -> None:
    module = FakeWandb()
    own: dict[str, Any] = {
        "name": "first",
        "project": "roads",
        "entity": "team",
        "group": "sweep",
        "mode": "offline",
        "module": module,
    }
    first = WandbTracker(tmp_path, params={"optim.lr": 0.1}, **own)
    first.log_artifact("config.yaml", b"seed: 3")
    first.set_tags({"rayseg.model": "small_unet"})
    first.set_tags({"rayseg.stopped": "enough"})
    first.log_picture("val_0", 7, PNG)
    first.finish("KILLED")
    again = WandbTracker(tmp_path, **own)
    again.log_picture("val_0", 7, PNG)
    again.finish("FINISHED")
    run, continued = module.runs
    options = run.options
    assert {key: options[key] for key in ("project", "entity", "group", "name", "mode", "resume", "id")} == {
        "project": "roads",
        "entity": "team",
        "group": "sweep",
        "name": "first",
        "mode": "offline",
        "resume": "allow",
        "id": first.run_id,
    }
    assert continued.options["id"] == first.run_id == again.run_id
    assert run.config == {"optim.lr": 0.1, "tags.rayseg.model": "small_unet", "tags.rayseg.stopped": "enough"}
    assert (run.rows, continued.rows) == ([{"step": 7, "val_0": (6, 4)}], [])
    assert [run.exit_code, continued.exit_code] == [255, 0]
    assert run.metrics == [("*", "step")]
    assert (Path(run.dir) / "rayseg" / "config.yaml").read_bytes() == b"seed: 3"
    assert json.loads((tmp_path / "wandb.json").read_text()) == {"id": first.run_id, "steps": {"val_0": 7}}


def test_what_wandb_could_not_take_is_told_and_not_taken_for_written(tmp_path: Path) -> None:
    kind = Wandb()
    tracker = kind.open(tmp_path)
    kind.module.runs[0].broken = True
    with pytest.raises(TrackingError, match="W&B project 'rayseg', run 'first': could not log: OSError: no network"):
        tracker.log_metrics(1, {"a": 1.0})
    kind.module.runs[0].broken = False
    tracker.log_metrics(1, {"a": 1.0})
    assert kind.read(tmp_path) == [(1, {"a": 1.0})]


def test_own_trackers_are_those_of_the_config_and_a_fresh_one_is_told_what_the_run_is(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    config = ExperimentConfig().with_({"tracking.tensorboard": True, "tracking.name": "first", "seed": 41})
    assert own_trackers(config.with_({"tracking.tensorboard": False}), tmp_path) == []
    for step in (3, 4):
        (tracker,) = own_trackers(config, tmp_path)
        tracker.log_metrics(step, {"train/loss": 1.0})
        tracker.finish("FINISHED")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (text,) = texts(events, "config.yaml/text_summary")
    assert "\nseed: 41\n" in text
    (tags,) = texts(events, "tags/text_summary")
    assert "| rayseg.model | small_unet |" in tags


@pytest.mark.tracking
@pytest.mark.parametrize("refuses", ["its tags", "the store"])
def test_no_run_is_left_open_when_one_that_comes_with_it_cannot_be(
    refuses: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = FakeWandb(refuses_tags=refuses == "its tags")
    monkeypatch.setitem(sys.modules, "wandb", module)
    config = BASE.with_({"tracking": {"name": "first", "storage": str(tmp_path), "wandb": {"mode": "offline"}}})
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "mlflow_run_id").write_text("none")
    with pytest.raises(TrackingError, match="could not set tags" if refuses == "its tags" else "none"):
        train(config)
    (run,) = module.runs
    assert run.exit_code == 1


@pytest.mark.parametrize(("key", "value"), [("tensorboard", True), ("wandb", {"mode": "offline"})])
def test_a_tracker_whose_package_is_missing_is_refused_before_the_run(key: str, value: Any, tmp_path: Path) -> None:
    config = BASE.with_({f"tracking.{key}": value, "tracking.storage": str(tmp_path)})
    told = [str(problem) for problem in check(config)]
    missing = f"tracking.{key}: set, but the package '{key}' is not installed; pip install 'rayseg[{key}]', or remove this"
    assert told == ([] if find_spec(key) else [missing])


def test_a_run_with_every_tracker_says_the_same_everywhere(tmp_path: Path) -> None:
    """The best checkpoint is chosen by a class whose name has a space, and goes by the class's score."""
    pytest.importorskip("tensorboard")
    names = ["sky", "a b", "side walk & kerb", "road", "car", "pole", "bus", "x/y", "sign"]
    best = "val/IoU/side walk & kerb"
    config = BASE.with_(
        {
            "data.class_names": names,
            "checkpoint": {"best": best, "keep": 1},
            "train": {"steps": 6, "batch_size": 2, "log_every": 2},
            "eval.every": 2,
            "optim.lr": 0.05,
            "tracking": {"mlflow": None, "text": False, "tensorboard": True, "storage": str(tmp_path), "name": "first"},
        }
    )
    result = train(config)
    scores = {step: metrics[best] for step, metrics in result.history}
    assert result.checkpoint is not None
    assert int(result.checkpoint.name.removeprefix("step_")) == max(scores, key=lambda step: scores[step])
    kept = {int(path.name.removeprefix("step_")) for path in (tmp_path / "first" / "checkpoints").iterdir()}
    assert kept == {max(scores, key=lambda step: scores[step]), 6}
    shown = TensorBoard().read(tmp_path / "first" / "tensorboard")
    assert [step for step, row in shown if "train/loss" in row] == [2, 4, 6], "train.log_every"
    assert {step: row[best] for step, row in shown if best in row} == pytest.approx(scores)
