"""Trials of earlier searches that a searcher begins with: from a search's directory or the MLflow store."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayseg.build import data_digests
from rayseg.config import ExperimentConfig, flatten, from_yaml, read_config_file
from rayseg.errors import ConfigError, Problem
from rayseg.launch.lineage import read_lineage, schedule_of
from rayseg.launch.objectives import derived
from rayseg.launch.records import open_store
from rayseg.launch.request import SweepRequest
from rayseg.space import KnownTrial, recovered
from rayseg.tracking import StoredRun

__all__ = ["Warmth", "warm_start"]

#: Sections in which trials may differ: where a run is recorded and done, and its seed.
_NEUTRAL = (
    "tracking.",
    "scaling.",
    "checkpoint.",
    "seed",
    "train.micro_batch",
    "train.threads",
    "data.num_workers",
    "data.cache",
)

#: Of a population: its score is that of several recipes.
_BRED = "with weights of another recipe"


@dataclass(frozen=True)
class _Earlier:
    """A trial of an earlier search."""

    tree: Mapping[str, Any]
    ended: str
    metrics: Mapping[str, Any]
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Warmth:
    """What a searcher begins with.

    Args:
        known: what was drawn for each trial, and its scores.
        told: how many trials of which searches were taken, and why others were not.
    """

    known: tuple[KnownTrial, ...] = ()
    told: str = ""


def warm_start(request: SweepRequest) -> Warmth:
    """Trials of the searches that a request names, of which the searcher learns before its first.

    A trial is taken if it came to its end, on the same data, with all objectives, and if its config is a point of this space
    around this base: so it has the same length, too.

    Args:
        request: of the sweep.

    Raises:
        ConfigError: a search is not found, or none of its trials can be compared.
    """
    digests = data_digests(request.base, request.components) if request.warm_start else {}
    known: list[KnownTrial] = []
    told: list[str] = []
    problems: list[Problem] = []
    for name in request.warm_start:
        trials = _read(name, request)
        if trials is None:
            text = f"no search {name!r}: neither a directory of one that ended, nor a run of the MLflow store by id or name"
            problems.append(Problem("warm_start", text))
            continue
        found = [_comparable(trial, request, digests) for trial in trials]
        taken = [each for each in found if not isinstance(each, str)]
        new = [each for number, each in enumerate(taken) if each not in [*known, *taken[:number]]]
        reasons = [*(each for each in found if isinstance(each, str)), *["known already"] * (len(taken) - len(new))]
        why = ", ".join(f"{num} {reason}" for reason, num in Counter(reasons).items())
        known += new
        told.append(f"warm start: {len(new)} of {len(trials)} trials of {name}{f' (not: {why})' if why else ''}")
        if not taken:
            text = f"none of the {len(trials)} trials of {name!r} can be compared: {why}"
            problems.append(Problem("warm_start", text))
    if problems:
        raise ConfigError(problems, where="sweep")
    return Warmth(tuple(known), "; ".join(told))


def _comparable(trial: _Earlier, request: SweepRequest, digests: Mapping[str, str]) -> KnownTrial | str:
    """What was drawn for a trial and its scores; or why it cannot be compared."""
    if trial.ended != "full":
        return trial.ended
    if trial.digests != digests:
        return "of other data"
    metrics = {**trial.metrics, **derived(trial.metrics, 0, None)}
    scores = [metrics.get(name) for name, _ in request.objectives]
    if not all(isinstance(score, int | float) and math.isfinite(score) for score in scores):
        return f"without {' and '.join(name for name, _ in request.objectives)}"
    found = recovered(request.space, trial.tree)
    if found is None:
        return "outside the space"
    point, drawn = found
    other = _differences(request.base.with_(point), trial.tree)
    return f"with other {other[0]}" if other else (drawn, [float(score) for score in scores if score is not None])


def _differences(config: ExperimentConfig, tree: Mapping[str, Any]) -> list[str]:
    """Leaves in which a config is not that of the tree."""
    mine, theirs = flatten(config), flatten(ExperimentConfig.from_dict(dict(tree)))
    keys = [key for key in {**mine, **theirs} if not key.startswith(_NEUTRAL)]
    return [key for key in keys if not _same(mine.get(key), theirs.get(key))]


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    return bool(left == right)


def _read(name: str, request: SweepRequest) -> list[_Earlier] | None:
    for directory in (Path(name).expanduser(), Path(request.base.tracking.storage) / name):
        if (directory / "summary.json").is_file():
            return _of_directory(directory)
    return _of_store(name, request.base)


def _of_directory(directory: Path) -> list[_Earlier]:
    rows: Sequence[dict[str, Any]] = json.loads((directory / "summary.json").read_text(encoding="utf-8"))["table"]
    digests = json.loads((directory / "provenance.json").read_text(encoding="utf-8"))[-1]["data"]
    configs = [(row, directory / Path(row["directory"]).name / "config.yaml") for row in rows]
    segments = read_lineage(directory)
    bred = {row["trial"] for row in rows if schedule_of(segments, row["trial"])}
    return [
        _Earlier(read_config_file(path), _BRED if row["trial"] in bred else row["status"], row, digests)
        for row, path in configs
        if path.is_file()
    ]


def _of_store(name: str, base: ExperimentConfig) -> list[_Earlier] | None:
    store = open_store(base)
    found = None if store is None else store.earlier_sweep(name)
    if found is None:
        return None
    mark = "rayseg.data."
    digests = {tag.removeprefix(mark): value for tag, value in found.run.tags.items() if tag.startswith(mark)}
    return [_Earlier(from_yaml(trial.config), _ended(trial.run), trial.metrics, digests) for trial in found.trials]


def _ended(run: StoredRun) -> str:
    return _BRED if "rayseg.exploited_from" in run.tags else run.tags.get("rayseg.ended", run.status.lower())
