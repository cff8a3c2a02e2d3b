"""The report of a sweep from what the sweep wrote; nothing here needs Ray."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rayseg.config import ExperimentConfig, read_config_file
from rayseg.engine.history import History
from rayseg.errors import RaysegError
from rayseg.launch.confirmed import Confirmation
from rayseg.launch.lineage import read_lineage
from rayseg.launch.recipes import BASELINE
from rayseg.launch.shown import read_shown
from rayseg.launch.trial_effects import population_effects, trial_effects
from rayseg.report import ClusterUse, PairRules, SweepRecords, TrialRecord, render_report

__all__ = ["LINKS", "REPORT", "read_links", "read_records", "write_report"]

#: The page's file in the sweep's directory, and its artifact.
REPORT = "report.html"
#: Names and addresses of other pages about it.
LINKS = "links.json"


def write_report(directory: Path, confirmation: Confirmation | None = None) -> Path:
    """Write ``report.html`` of a sweep that has ended.

    Args:
        directory: of the sweep.
        confirmation: of it, where there is one.
    """
    staged = directory / f".{REPORT}"
    staged.write_text(render_report(read_records(directory, confirmation)), encoding="utf-8")
    return staged.replace(directory / REPORT)


def read_records(directory: Path, confirmation: Confirmation | None = None) -> SweepRecords:
    """What a report tells, from the files of a sweep that has ended.

    Args:
        directory: of the sweep.
        confirmation: of it, where there is one.
    """
    kept, asked = _json(directory / "summary.json"), _json(directory / "sweep.json")
    keep = ExperimentConfig.from_dict(read_config_file(directory / "config.yaml")).checkpoint
    trials = [_trial(directory, row) for row in kept["table"]]
    images, fault = read_shown(directory)
    origin = directory / "provenance.json"
    return SweepRecords(
        name=directory.name,
        metric=kept["metric"],
        mode=keep.mode,
        space=asked["keys"],
        trials=trials,
        baseline=BASELINE,
        searcher=asked["scheduler"] if asked["scheduler"] in ("pbt", "pb2") else asked["searcher"],
        others=kept.get("others", ()),  # earlier versions had one objective
        total_steps=max((trial.row["step"] for trial in trials if trial.row["status"] == "full"), default=0),
        seconds=kept["seconds"],
        use=None if kept.get("use") is None else ClusterUse(**kept["use"]),
        candidates=() if confirmation is None else confirmation.candidates,
        rules=PairRules() if confirmation is None else confirmation.rules,
        **_effects(trials, kept, keep.mode, directory),
        images=images,
        images_fault=fault,
        origin=_json(origin) if origin.is_file() else (),
        best_config=(directory / "best.yaml").read_text(encoding="utf-8"),
        schedule=kept.get("schedule", ()),
        links=read_links(directory),
    )


def read_links(directory: Path) -> dict[str, str]:
    """Name -> address of other pages about a sweep.

    Args:
        directory: of the sweep.
    """
    path = directory / LINKS
    found: dict[str, str] = _json(path) if path.is_file() else {}
    return found


def _trial(directory: Path, row: dict[str, Any]) -> TrialRecord:
    """A row of the table with its trial's history; the sweep may lie elsewhere than where it was written."""
    return TrialRecord(row, History(directory / Path(row["directory"]).name / "metrics.jsonl").rows())


def _effects(
    trials: Sequence[TrialRecord], kept: dict[str, Any], mode: Literal["max", "min"], directory: Path
) -> dict[str, Any]:
    """What the scores follow, or why that cannot be told."""
    rows = [{**trial.row, "directory": directory / Path(trial.row["directory"]).name} for trial in trials]
    segments = read_lineage(directory)
    try:
        if segments:
            found = population_effects(segments, kept["searched"], kept["metric"], mode)
        else:
            found = trial_effects(rows, kept["searched"], kept["metric"], mode)
    except RaysegError as error:
        return {"effects_fault": str(error)}
    return {"key_effects": found.keys, "pair_effects": found.pairs, "effects_step": found.step}


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
