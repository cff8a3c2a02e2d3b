"""What the terminal of one run says."""

from __future__ import annotations

import pytest

from rayseg.config import ExperimentConfig
from rayseg.launch.telling import telling

CONFIG = ExperimentConfig().with_({"train.steps": 40, "tracking.name": "streets"})
TRAIN = {"train/loss": 0.71, "train/lr/all": 0.003, "perf/images_per_s": 31.2}
VAL = {"val/mIoU": 0.43, "val/IoU/sky": 0.9}


def test_where_stdout_is_no_terminal_every_log_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    with telling(CONFIG, {}, lambda: pytest.fail("nobody sees it")) as told:
        told.doing("starting Ray")
        told.say("MLflow  here")
        told.set_tags({"rayseg.init": "348 tensors loaded"})
        told.log_metrics(10, TRAIN)
        told.log_metrics(10, TRAIN)  # of a worker that was started again
        told.log_metrics(20, VAL)
        told.finish("FINISHED")
    lines = [
        "MLflow  here",
        "init: 348 tensors loaded",
        "step 10/40  loss 0.71  lr 0.003  31.2 images/s",
        "step 20/40  val  mIoU 0.43",
    ]
    assert capsys.readouterr().out.splitlines() == lines


def test_a_run_that_shall_be_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with telling(CONFIG.with_({"tracking.text": False}), {}) as told:
        told.say("MLflow  here")
        told.set_tags({"rayseg.init": "348 tensors loaded"})
        told.log_metrics(20, {**TRAIN, **VAL})
    assert capsys.readouterr().out == ""


def test_lengths_in_epochs_are_counted_in_steps_for_the_picture() -> None:
    config = CONFIG.with_(
        {"train.steps": None, "train.epochs": 2, "data.dataset": {"type": "synthetic", "length": 12}, "train.batch_size": 4}
    )
    with telling(config, {}) as told:
        assert told.total_steps == 6
