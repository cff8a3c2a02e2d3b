"""Which recipes of a sweep are confirmed: the best of its table that are not the same, beside the baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayseg.config import ExperimentConfig, flatten
from rayseg.errors import ConfigError, Problem
from rayseg.launch.lineage import read_lineage, schedule_of

__all__ = ["BASELINE", "Recipe", "chosen_recipes"]

#: Name of trial 0.
BASELINE = "baseline"


@dataclass(frozen=True)
class Recipe:
    """A trial's choices, to be trained again.

    Args:
        name: of the trial.
        changed: dotted config key -> value, on top of the sweep's base.
        schedule: where recipes changed over the steps, ``[[first step, changed], ...]`` from step 0 on; it is trained so again.
    """

    name: str
    changed: Mapping[str, Any]
    schedule: Sequence[tuple[int, Mapping[str, Any]]] = ()

    def point(self, seed: int) -> dict[str, Any]:
        """What a trial of it is told; ``seed`` comes last, whatever was searched."""
        marks = {"recipe": self.name, **({"baseline": True} if self.name == BASELINE else {})}
        return {**self.changed, "seed": seed, **marks, **({"schedule": list(self.schedule)} if self.schedule else {})}


def chosen_recipes(base: ExperimentConfig, directory: Path, top: int) -> list[Recipe]:
    """The baseline, then the ``top`` best recipes of a sweep that differ from it and from each other, or as many as there are.

    Their scores in the search have chosen them and are not used again.

    Args:
        base: of the sweep.
        directory: of the sweep, which has ended.
        top: how many.

    Raises:
        ConfigError: no trial has a score and differs from the baseline.
    """
    table = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    asked = json.loads((directory / "sweep.json").read_text(encoding="utf-8"))
    chosen = [Recipe(BASELINE, asked["baseline"])]
    seen = [_computed(base, chosen[0])]
    segments = read_lineage(directory)
    for row in table["table"]:
        recipe = Recipe(row["trial"], row["point"], schedule_of(segments, row["trial"]))
        if row["rank"] is None or row["trial"] == BASELINE or len(chosen) > top:
            continue
        if (own := _computed(base, recipe)) not in seen:
            chosen.append(recipe)
            seen.append(own)
    if len(chosen) == 1:
        message = f"{directory}: no trial has a score and differs from the baseline, so there is nothing to confirm"
        raise ConfigError([Problem("", f"{message}; search longer, or over a larger space")], where="confirmation")
    return chosen


def _computed(base: ExperimentConfig, recipe: Recipe) -> list[tuple[int, dict[str, Any]]]:
    """What makes a recipe: its leaves by step; the seed belongs to the run."""
    by_step = recipe.schedule or [(0, recipe.changed)]
    return [(first, flatten(base.with_({**recipe.changed, **changed, "seed": 0}))) for first, changed in by_step]
