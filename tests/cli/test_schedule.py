"""``rayseg show --schedule``: the plot in a terminal and the picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from rayseg.build.rates import Rates, rates_of
from rayseg.cli import main
from rayseg.cli.braille import draw_line
from rayseg.cli.schedule import schedule_plot, write_schedule_png
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError

MOVING = [
    "optim={type: sgd, lr: 0.1, momentum: 0.9, groups: {head: {match: classifier, lr_mult: 10}}}",
    "schedule={type: poly, power: 1.0, warmup: {length: 4}, momentum: {type: cyclic, peak: 0.9, end: 1.0}}",
    "train.steps=40",
]


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["show", *words, "--schedule"]) == 0
    return capsys.readouterr().out


def test_the_plot_has_rate_and_momentum_of_every_group_in_80_columns(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = shown(capsys, str(file), *MOVING)
    assert max(map(len, told.splitlines())) <= 80
    rows = {tuple(line.split()[:3]): line.split()[-4:] for line in told.splitlines() if line.startswith(("default", "head"))}
    assert rows["default", "learning", "rate"] == ["0.01", "0.09", "0.0025", "0.0025"]
    assert rows["head", "learning", "rate"] == ["0.1", "0.9", "0.025", "0.025"]
    assert rows["default,", "head", "momentum"] == ["0.9", "0.9", "0.81", "0.8996"]
    assert [line.split() for line in told.splitlines() if line.lstrip().startswith(("step ", "epoch "))] == [
        ["step", "0", "10", "20", "29", "39"],
        ["epoch", "0.0", "5.0", "10.0", "14.5", "19.5"],
    ] * 2


def test_the_picture_is_a_png_of_the_size_of_a_page(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    told = shown(capsys, str(file), *MOVING, "--png", str(tmp_path / "a.png"))
    assert told.endswith(f"picture  {tmp_path / 'a.png'}\n")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert picture.width == 960


def test_without_the_data_steps_are_enough_and_epochs_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    absent = "data.dataset={type: parquet, path: /nowhere/at/all.parquet}"
    told = shown(capsys, absent, "train.steps=20")
    assert "The data are not here, so there is no axis of epochs." in told
    assert "epoch " not in told
    for words, path in (
        (["train.steps=null", "train.epochs=2"], "train.epochs"),
        (["schedule={type: step, milestones: [{epochs: 1}]}"], "schedule.milestones.epochs"),
        (["schedule.by_epoch=true"], "schedule.by_epoch"),
    ):
        assert main(["show", absent, *words, "--schedule"]) == 2
        error = " ".join(capsys.readouterr().err.split())
        assert f"{path}: an epoch's number of steps is not known" in error
        assert "give steps, or the data" in error


def test_a_plateau_says_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    told = " ".join(shown(capsys, "schedule={type: plateau, factor: 0.5, patience: 3}").split())
    assert "multiplied by 0.5 when val/mIoU has not improved for more than 3 evaluations" in told


def test_a_picture_belongs_to_the_plot_and_a_wrong_schedule_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--png", "a.png"]) == 2
    assert "--png: is the picture of --schedule" in capsys.readouterr().err
    assert main(["show", "schedule.powr=2", "--schedule"]) == 2
    assert "schedule.powr: 'poly' has no parameter 'powr'" in capsys.readouterr().err
    assert main(["show", "--schedule", "--png", "/nowhere/a.png"]) == 2
    assert "--png: /nowhere/a.png: cannot be written" in capsys.readouterr().err


def test_values_are_those_that_training_sets() -> None:
    config = ExperimentConfig().with_(
        {"optim.lr": 0.5, "schedule": {"type": "step", "every": 3, "gamma": 0.5}, "train.steps": 7}
    )
    found = rates_of(config)
    assert found.steps == tuple(range(7))
    assert found.rates == {"default": (0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125)}
    assert found.momenta == {}


def test_a_jump_is_drawn_without_a_gap_and_edges_are_where_they_should_be() -> None:
    lines = draw_line([0, 1, 2, 3], [1.0, 1.0, 0.0, 0.0], columns=2, rows=2, low=0.0, high=1.0)
    assert lines == ["⠉⡇", "⠀⣇"]
    assert draw_line([0], [0.5], columns=1, rows=1, low=0.0, high=1.0) != ["⠀"]


def test_an_optimizer_without_a_rate_has_nothing_to_draw(tmp_path: Path) -> None:
    bare = Rates((0, 1), 2, None, {}, {}, None)
    assert schedule_plot(bare).startswith("The optimizer has no learning rate")
    with pytest.raises(ConfigError, match="nothing to draw"):
        write_schedule_png(bare, tmp_path / "a.png")


def test_a_constant_schedule_and_one_step_can_be_drawn() -> None:
    for steps in ((0,), (0, 1, 2)):
        curve = {"default": tuple(0.0 for _ in steps)}
        assert "learning rate, group default" in schedule_plot(Rates(steps, len(steps), None, curve, {}, None))
