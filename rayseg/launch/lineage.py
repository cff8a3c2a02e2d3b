"""What a population leaves: which runs went on, whose weights they have, and which recipe made them when. No Ray here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rayseg.config import from_yaml, to_yaml
from rayseg.errors import ConfigError, Problem

if TYPE_CHECKING:
    from rayseg.launch.summary import EndedTrial

__all__ = [
    "LINEAGE",
    "SCHEDULE",
    "last_of_runs",
    "lineage_of",
    "read_lineage",
    "read_schedule",
    "schedule_of",
    "told_lineage",
    "write_schedule",
]

#: What became of every segment, in the sweep's directory.
LINEAGE = "population.json"
#: The recipes of the winner by step, beside ``best.yaml``.
SCHEDULE = "schedule.yaml"

_HEAD = """\
# Recipes of a member of a population, by step: what made its weights. To train it so again:
# {command}
"""
_LAST_OF_MANY = """\
# The last recipe of a run whose recipe changed over its steps: {name} has all of them. From step 0 on this is another run. To
# train what won: {command}
"""


def last_of_runs(trials: Sequence[EndedTrial]) -> list[EndedTrial]:
    """One trial per run of a population, the last of its segments; those whose member went on as another run are marked."""
    last: dict[Path, EndedTrial] = {}
    for each in sorted(trials, key=lambda trial: trial.point.get("segment", {}).get("interval", 0)):
        last[each.directory] = each
    final = max((each.point["segment"]["interval"] for each in last.values() if "segment" in each.point), default=0)
    return [
        replace(each, replaced=each.fault is None and each.point.get("segment", {}).get("interval", final) < final)
        for each in last.values()
    ]


def read_lineage(directory: Path) -> list[dict[str, Any]]:
    """Every segment of a sweep's population; empty where it had none.

    Args:
        directory: of the sweep.
    """
    path = directory / LINEAGE
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []


def lineage_of(segments: Sequence[Mapping[str, Any]], run: str) -> list[dict[str, Any]]:
    """The segments that made the weights of a run, from step 0 on; of those with one recipe the last.

    Args:
        segments: of the population.
        run: its name.

    Example:
        >>> first = {"run": "m1", "interval": 0, "start": 0, "until": 9, "donor": None, "recipe": {"optim.lr": 1}, "score": 0.5}
        >>> then = {**first, "run": "m2-9", "interval": 1, "start": 9, "until": 18, "donor": "m1", "recipe": {"optim.lr": 2}}
        >>> [(each["from"], each["until"], each["recipe"]["optim.lr"]) for each in lineage_of([first, then], "m2-9")]
        [(0, 9, 1), (9, 18, 2)]
    """
    at = {(each["run"], each["interval"]): each for each in segments}
    own = [interval for name, interval in at if name == run]
    found: list[dict[str, Any]] = []
    for interval in range(max(own, default=-1), -1, -1):
        each = at[run, interval]
        if found and found[0]["run"] == run:
            found[0]["from"] = each["start"]
        else:
            found.insert(0, {"from": each["start"], **{key: each[key] for key in ("until", "run", "score", "recipe")}})
        run = each["donor"] or run
    return found


def schedule_of(segments: Sequence[Mapping[str, Any]], run: str) -> list[tuple[int, dict[str, Any]]]:
    """First step and recipe of each part of a run, to be trained so again; empty where one recipe made it.

    Args:
        segments: of the population.
        run: its name; one that is no member has none.

    Example:
        >>> schedule_of([], "baseline")
        []
    """
    found = [(each["from"], each["recipe"]) for each in lineage_of(segments, run)]
    return found if len(found) > 1 else []


def read_schedule(path: str | Path) -> list[tuple[int, dict[str, Any]]]:
    """First step and recipe of each part of a run, from a file that :func:`write_schedule` wrote, or one like it.

    Args:
        path: YAML: a list of ``{from: step, recipe: {key: value}}``, from step 0 on.

    Raises:
        ConfigError: it is no such list.
    """
    file = Path(path).expanduser()
    try:
        entries = from_yaml(file.read_text(encoding="utf-8"))
        found = [(each["from"], dict(each["recipe"])) for each in entries]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        text = f"is no schedule of recipes ({type(error).__name__}: {error})"
        remedy = "give a list of {from: step, recipe: {key: value}}"
        raise ConfigError([Problem("schedule", f"{text}; {remedy}")], where=str(file)) from error
    steps = [first for first, _ in found]
    if not found or steps[0] != 0 or any(not isinstance(step, int) for step in steps) or sorted(set(steps)) != steps:
        text = f"recipes begin at steps {steps}; expected whole numbers from 0 on, each later than the one before"
        raise ConfigError([Problem("schedule", text)], where=str(file))
    return found


def told_lineage(lineage: Sequence[Mapping[str, Any]]) -> str:
    """The runs of a lineage in one line, with the steps at which weights were taken over.

    Example:
        >>> told_lineage([{"run": "m1", "from": 0}, {"run": "m2-9", "from": 9}])
        'm1, from 9 m2-9'
    """
    return ", ".join(
        each["run"] if number == 0 else f"from {each['from']} {each['run']}" for number, each in enumerate(lineage)
    )


def write_schedule(lineage: Sequence[Mapping[str, Any]], config: Path, name: str = SCHEDULE) -> Path:
    """Write the recipes of a run by step beside its config, and say it there where that has only the last of them.

    Args:
        lineage: of that run.
        config: file of its last recipe.
        name: of the file.
    """
    path, command = config.with_name(name), f"rayseg train {config.name} --schedule {name}"
    if len(lineage) > 1:
        told = _LAST_OF_MANY.format(name=name, command=command)
        config.write_text(told + config.read_text(encoding="utf-8"), encoding="utf-8")
    path.write_text(_HEAD.format(command=command) + to_yaml([dict(each) for each in lineage]), encoding="utf-8")
    return path
