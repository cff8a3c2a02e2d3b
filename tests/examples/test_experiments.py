"""Experiments that need no cluster, small and short."""

from __future__ import annotations

import csv
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from rayseg.space import grid_points
from tests.examples.scripts import printed_by

pytestmark = pytest.mark.examples

ROOT = Path(__file__).resolve().parents[2]


def run_twice(script: str, *words: str, cwd: Path) -> list[str]:
    """What it printed, and what it printed when it was asked again."""
    small = ("--smoke", "--storage", str(cwd), *words)
    return [printed_by(ROOT / "experiments" / script, *small, cwd=cwd) for _ in range(2)]


def test_fine_tuning_prints_a_line_for_each_recipe_and_can_be_asked_again(tmp_path: Path) -> None:
    first, again = run_twice("finetune.py", cwd=tmp_path)
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", first, re.MULTILINE)
    assert [name for name, *_ in rows] == ["from scratch", "other data, frozen first"]
    assert again == first


def test_the_ablation_prints_a_line_for_each_trick_and_trains_none_twice(tmp_path: Path) -> None:
    small = ("model.width=4", "data.dataset.size=[32,64]")
    first, again = run_twice("ablation.py", *small, "--seeds", "0", cwd=tmp_path)
    rows = re.findall(r"^\| ([^|]+) \| 1 \|", first, re.MULTILINE)
    assert rows == ["cross-entropy", "+ class weights", "+ OHEM", "+ Dice 1:3", "+ head lr x10", "all of them"]
    assert first.count("seed 0") == len(rows)
    assert "seed 0" not in again
    assert again.strip() == first[first.index("| recipe") :].strip()


@pytest.mark.parametrize(
    ("example", "recipes"),
    [("drive", ["CE", "CE : Dice = 1 : 3"]), ("stdc", ["OHEM and detail", "neither"])],
)
def test_the_examples_of_mmsegmentation_run_from_config_files_in_its_words(
    example: str, recipes: list[str], tmp_path: Path
) -> None:
    first, again = run_twice("mmseg_examples.py", example, "--only", *recipes, "--batch", "4", "optim.lr=0.02", cwd=tmp_path)
    assert re.findall(r"^\| ([^|]+) \| 0 \| [\d.]+ \|", first, re.MULTILINE) == recipes
    assert again == first


@pytest.mark.parametrize(
    ("script", "more"),
    [("class_weight", ["--confirm", "1"]), ("loss_mix", []), ("schedule", []), ("pbt", ["--num-samples", "2"])],
)
@pytest.mark.usefixtures("ray_cluster")
def test_a_search_prints_its_table(
    script: str, more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, whose cluster they share."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "experiments"), *sys.path])
    small = [
        "model.width=4",
        "data.dataset.length=8",
        "data.dataset.size=[32,64]",
        "train.batch_size=4",
        "tracking.mlflow=null",
    ]
    words = ["--smoke", "--num-samples", "1", "--storage", str(tmp_path), "--name", script, *more, *small]
    import_module(f"{script}_sweep").main(words)
    printed = capsys.readouterr().out
    assert re.search(r"^rank +val/mIoU +trial", printed, re.MULTILINE)
    assert f"best recipe: {tmp_path / script / 'best.yaml'}" in printed
    assert (f"confirmed recipe: {tmp_path / script / 'confirmed.yaml'}" in printed) == ("--confirm" in more)
    assert ("schedule.yaml:\n" in printed) == (script == "pbt")


@pytest.mark.usefixtures("ray_cluster")
def test_a_surrogate_has_every_evaluation_of_every_recipe_and_is_made_once(tmp_path: Path) -> None:
    first, again = run_twice("surrogate.py", "--out", str(tmp_path / "table.csv"), cwd=tmp_path)
    table = (tmp_path / "table.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in table.splitlines() if not line.startswith("#")))
    assert [(row["optim.lr"], row["seed"], row["step"]) for row in rows] == [
        (rate, seed, step)
        for rate, seed in (("0.0025", "0"), ("0.04", "0"), ("0.006", "1"), ("0.015", "1"))
        for step in ("2", "4")
    ]
    assert first.count("trial ") == 6
    assert "trial " not in again
    assert first.endswith(again)


def test_the_recorded_surrogate_is_a_whole_grid_with_seeds_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "experiments"), *sys.path])
    made_by, path = import_module("surrogate"), ROOT / "experiments" / "benchmarks" / "surrogate_streets.csv"
    rows, steps = made_by.read_table(path), [str(step) for step in range(32, 161, 32)]
    for space, seeds in ((made_by.GRID, ["0"]), (made_by.AGAIN, ["1", "2"])):
        chosen = [row for row in rows if row["seed"] in seeds]
        points = {tuple(str(point[key]) for key in space) for point in grid_points(space)}
        assert sorted((tuple(row[key] for key in space), row["seed"], row["step"]) for row in chosen) == sorted(
            (point, seed, step) for point in points for seed in seeds for step in steps
        )
    assert all(0 < float(row["mIoU"]) < 1 and 0 < float(row["seconds"]) < 20 for row in rows)
    assert path.stat().st_size < 100_000
    assert made_by.cut_at(made_by.curves_of(rows)[1][0], range(5), 4)[1] == 1, "who is cut at the end is trained to the end"


@pytest.mark.usefixtures("ray_cluster")
def test_a_search_on_real_images_tunes_its_baseline_first_and_is_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "experiments"), *sys.path])
    import_module("real_sweeps").main(["nuclei", "--smoke", "--num-samples", "1", "--storage", str(tmp_path)])
    printed = capsys.readouterr().out
    assert printed.index("\nnuclei-rate\n") < printed.index("\nnuclei-recipe\n") < printed.index("\nto go on with: ")
    assert (tmp_path / "nuclei-recipe" / "report.html").is_file()
