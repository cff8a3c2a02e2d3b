"""A trial in parts: what it is told besides overrides, and which recipe it has from which step to which.

A trial of a population is trained from one comparison to the next, and its weights may come from another run. A recipe that
changed over the steps, as the winner of a population, is trained again as it was: part by part, in one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayseg.build import Components
from rayseg.config import ExperimentConfig, to_yaml
from rayseg.data import KeepingPlace, LabelCounts
from rayseg.engine.checkpoint import newest_whole, step_of
from rayseg.errors import ConfigError, Problem
from rayseg.launch.run import RunInfo

__all__ = [
    "MARKS",
    "Part",
    "changes_recipe",
    "info_of",
    "keep_schedule",
    "left_of",
    "newest_of",
    "overrides_of",
    "parts_of",
    "steps_done",
]

#: What a point says besides overrides: the trial's name; trial 0; a recipe that is confirmed; a member of a population; recipes
#: by step.
MARKS = ("trial", "baseline", "recipe", "segment", "schedule")


@dataclass(frozen=True)
class Part:
    """Steps that are trained with one recipe.

    Args:
        config: of the whole run, with the recipe of these steps.
        sampled: keys of the recipe, to be read back from what was built.
        until: one past the last of its steps; None: the run's end.
    """

    config: ExperimentConfig
    sampled: Mapping[str, Any]
    until: int | None = None


def overrides_of(point: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides in what a trial is told.

    Example:
        >>> overrides_of({"optim.lr": 0.1, "baseline": True})
        {'optim.lr': 0.1}
    """
    return {key: value for key, value in point.items() if key not in MARKS}


def parts_of(point: Mapping[str, Any], config: ExperimentConfig, total_steps: int) -> list[Part]:
    """The parts of a trial; one, but for a recipe that changes.

    Args:
        point: what the trial is told; a ``schedule`` in it is ``[[first step, {key: value}], ...]`` from step 0 on.
        config: of the trial; recipes of a schedule replace keys of it.
        total_steps: of a run.
    """
    sampled = {} if point.get("baseline") else overrides_of(point)
    if "segment" in point:
        until = point["segment"]["until"]
        return [Part(config, sampled, until if until < total_steps else None)]
    schedule = point.get("schedule") or [[0, {}]]
    ends = [*(first for first, _ in schedule[1:]), None]
    return [Part(config.with_(recipe), {**sampled, **recipe}, until) for (_, recipe), until in zip(schedule, ends, strict=True)]


def changes_recipe(point: Mapping[str, Any]) -> bool:
    """Whether a checkpoint that the trial goes on from may be of another recipe."""
    return "segment" in point or "schedule" in point


def info_of(
    part: Part,
    directory: Path,
    run_id: str | None,
    components: Components,
    counts: LabelCounts | None = None,
    *,
    other_recipe: bool,
    place: KeepingPlace | None = None,
) -> RunInfo:
    """What every worker is told of a part.

    Args:
        part: of the run.
        directory: of the run.
        run_id: MLflow run, or None.
        components: name -> callable given by value.
        counts: labels of the training set, where the driver counted them.
        other_recipe: whether its first checkpoint may be of another recipe.
        place: where decoded samples are kept, or None.
    """
    tree, where = part.config.to_dict(), str(directory)
    return RunInfo(tree, where, run_id, components, part.sampled, counts, other_recipe, part.until, place)


def keep_schedule(parts: Sequence[Part], directory: Path) -> None:
    """Write which recipes a run has, and go on only as what it was.

    Args:
        parts: of the run.
        directory: of the run.

    Raises:
        ConfigError: the directory holds a run with other recipes, or with them at other steps.
    """
    path, begun = directory / "recipes.yaml", (directory / "metrics.jsonl").is_file()
    text = to_yaml([{"until": part.until, **part.sampled} for part in parts]) if len(parts) > 1 else None
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    if begun and text != before:
        message = f"{directory} holds a run with another schedule of recipes; put it back to go on, or choose another name"
        raise ConfigError([Problem("schedule", message)])
    if text is not None:
        path.write_text(text, encoding="utf-8")


def left_of(parts: Sequence[Part], step: int) -> list[Part]:
    """The parts that are not done after ``step`` steps; always the last."""
    return [part for part in parts if part is parts[-1] or (part.until is not None and part.until > step)]


def steps_done(run: Path) -> int:
    """The step of the newest whole checkpoint in a run's directory; 0 where there is none."""
    newest = newest_whole(run)
    return 0 if newest is None else step_of(newest)


def newest_of(*places: Path | None) -> Path | None:
    """The newest whole checkpoint among those given and those in given directories of runs."""
    found = [place if (place / "manifest.json").is_file() else newest_whole(place) for place in places if place is not None]
    return max((each for each in found if each is not None), key=step_of, default=None)
