"""The checkpoint of a search: of the trial that was ranked first, also where its weights came from another run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from rayseg.engine.checkpoint import write_checkpoint
from rayseg.launch.confirmed import SeedRun, read_stage, write_stage
from rayseg.launch.winners import winner_of


def _search(place: Path, first: str, **segments: list[str]) -> Path:
    """The files of a search that has ended, as far as they are read: who was first, and segments of members."""
    (place / f"bred-{first}").mkdir(parents=True)
    (place / "summary.json").write_text(json.dumps({"table": [{"trial": first, "directory": f"/elsewhere/bred-{first}"}]}))
    rows = [{"run": run, "trial": trial} for run, trials in segments.items() for trial in trials]
    (place / "population.json").write_text(json.dumps(rows))
    return place


def _saved(place: Path, step: int) -> Path:
    return write_checkpoint(place / f"checkpoint_{step}", {}, {"config.yaml": ""}, step=step)


@pytest.mark.parametrize("segments", [["t1"], ["t1", "t5"]])
def test_a_member_of_a_population_is_taken_at_its_end_and_not_where_it_began(tmp_path: Path, segments: list[str]) -> None:
    place = _search(tmp_path / "bred", "m2", m1=["t0", "t7"], m2=segments)
    _saved(place / "bred-m2", 2)  # the donor's, with which it began
    for number, trial in enumerate(segments):
        _saved(place / "tune" / trial, 4 + 2 * number)
    _saved(place / "tune" / "t7", 6)
    found = winner_of(place)
    assert found.checkpoint.parent == place / "tune" / segments[-1]
    assert found.run == place / "bred-m2"


@pytest.mark.parametrize("kept", ["now", "whole paths, as earlier versions did"])
def test_a_search_that_was_confirmed_and_then_moved_has_its_winner(tmp_path: Path, kept: str) -> None:
    place = tmp_path / "confirm" / "old"
    run = place / "confirm" / "confirm-t3-seed1"
    run.mkdir(parents=True)
    saved = _saved(place / "confirm" / "tune-first" / "t9", 4)
    runs = [SeedRun("t3", 1, str(run), str(saved), None), SeedRun("t4", 1, str(run), None, "DataError: it is gone")]
    write_stage(place, "first", runs)
    assert read_stage(place, "first") == runs
    if kept != "now":
        (place / "confirm" / "first.json").write_text(json.dumps([asdict(each) for each in runs]))
    (place / "confirm" / "confirmation.json").write_text(json.dumps({"standing": "t3"}))
    moved = place.rename(tmp_path / "new")
    found = winner_of(moved)
    assert found.checkpoint == moved / saved.relative_to(place)
    assert found.run == moved / run.relative_to(place)


def test_a_trial_is_taken_at_its_newest_and_the_baseline_is_found(tmp_path: Path) -> None:
    place = _search(tmp_path / "plain", "t3")
    newest = [_saved(place / "tune" / "t3", step) for step in (2, 4)][-1]
    assert winner_of(place).checkpoint == newest
    other = _search(tmp_path / "other", "baseline")
    kept = _saved(other / "tune" / "t0", 4)
    for trial, point in (("t0", {"baseline": True}), ("t1", {"optim.lr": 0.1})):
        (other / "tune" / trial).mkdir(exist_ok=True, parents=True)
        (other / "tune" / trial / "params.json").write_text(json.dumps({"point": point}))
    assert winner_of(other).checkpoint == kept
