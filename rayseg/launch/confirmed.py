"""A confirmation's runs on disk, and what they say; nothing here needs Ray.

::

    NAME/confirm/asked.json            numbers and recipes
    NAME/confirm/provenance.json       code, packages and data, an entry for each start at which they had changed
    NAME/confirm/first.json, more.json the runs of the first seeds, and of those that the spread asked for
    NAME/confirm/confirm-RECIPE-seedN  a run
    NAME/confirm/images/*.npz          pixels found, labelled and predicted by image and class, by split
    NAME/confirm/confirmation.txt      what a person reads; .json the same for programs, runs.parquet a row per run
    NAME/confirmed.yaml                the recipe to go on with
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rayseg.config import ExperimentConfig, write_yaml
from rayseg.engine.history import History
from rayseg.errors import RaysegError
from rayseg.launch.lineage import write_schedule
from rayseg.launch.recipes import BASELINE, Recipe
from rayseg.report import Candidate, PairRules, RecipeRuns, compare, render_candidates, seeds_wanted, standing, write_parquet

__all__ = [
    "Confirmation",
    "SeedRun",
    "image_file",
    "make_confirmation",
    "read_confirmation",
    "read_stage",
    "wanted_seeds",
    "write_confirmation",
    "write_stage",
]

Stage = Literal["first", "more"]

#: Of a run, what is a path.
_PLACES = ("directory", "checkpoint")


@dataclass(frozen=True)
class SeedRun:
    """A run of a recipe with a seed.

    Args:
        recipe: its name.
        seed: of the run.
        directory: what it wrote.
        checkpoint: its last one, or None.
        fault: why it failed, or None.
    """

    recipe: str
    seed: int
    directory: str
    checkpoint: str | None
    fault: str | None

    @property
    def scores(self) -> dict[str, float]:
        """Of its last evaluation."""
        rows = History(Path(self.directory) / "metrics.jsonl").rows()
        return rows[-1][1] if rows else {}


@dataclass(frozen=True)
class Confirmation:
    """What a confirmation found.

    Args:
        candidates: verdicts, in the order of the search.
        standing: the recipe to go on with: the best of those that are better, else ``baseline``.
        config: that recipe, runnable as it is; also ``confirmed.yaml``.
        metric: that was compared.
        mode: whether more or less of it is better.
        rules: of the pairs.
        runs: a row per run: recipe, seed, scores of both splits; also ``runs.parquet``.
        directory: everything that was written.
        run_id: MLflow run of the sweep, or None.
        changed: whether code, packages or data changed while it went on; then pairs may not be of one kind.
        schedule: first step and recipe of each part, where the recipe to go on with changed over its steps; then also
            ``confirmed-schedule.yaml``.
    """

    candidates: tuple[Candidate, ...]
    standing: str
    config: ExperimentConfig
    metric: str
    mode: Literal["max", "min"]
    rules: PairRules
    runs: list[dict[str, Any]]
    directory: Path
    run_id: str | None
    changed: bool
    schedule: Sequence[tuple[int, Mapping[str, Any]]] = ()

    def __str__(self) -> str:
        """Table, differences, classes, and what stands."""
        told = render_candidates(self.candidates, self.metric, self.mode, self.rules)
        return (
            f"{told}\nCAUTION: code, packages or data changed between its runs: confirm/provenance.json"
            if self.changed
            else told
        )


def read_stage(directory: Path, stage: Stage) -> list[SeedRun] | None:
    """The runs of a stage that has ended; None where it has not.

    Args:
        directory: of the sweep.
        stage: first or more.
    """
    path = directory / "confirm" / f"{stage}.json"
    if not path.is_file():
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [SeedRun(**{**row, **{name: _here(directory, row[name]) for name in _PLACES}}) for row in rows]


def write_stage(directory: Path, stage: Stage, runs: Sequence[SeedRun]) -> None:
    """Keep the runs of a stage that has ended, with paths from the sweep's directory on: it may be moved."""
    rows = [{**asdict(run), **{name: _within(directory, getattr(run, name)) for name in _PLACES}} for run in runs]
    _write(directory / "confirm" / f"{stage}.json", json.dumps(rows, indent=2))


def _within(directory: Path, path: str | None) -> str | None:
    return None if path is None else Path(path).relative_to(directory).as_posix()


def _here(directory: Path, path: str | None) -> str | None:
    """A path that was kept; earlier versions kept it whole, and the sweep may have been moved since."""
    if path is None or not Path(path).is_absolute():
        return path and str(directory / path)
    parts = Path(path).parts
    if "confirm" not in parts:
        return path
    below = directory.joinpath(*parts[len(parts) - parts[::-1].index("confirm") - 1 :])
    return str(below) if below.exists() else path


def image_file(directory: Path, run: SeedRun, split: str) -> Path:
    """Where the counts of a run's images are kept, with its scores on the split."""
    return directory / "confirm" / "images" / f"{run.recipe}-seed{run.seed}-{split}.npz"


def wanted_seeds(runs: Sequence[SeedRun], rules: PairRules, metric: str) -> dict[str, int]:
    """How many seeds each recipe needs, told from those of the first stage; the baseline as many as any candidate."""
    by_recipe = {name: _runs_of(name, runs, metric) for name in dict.fromkeys(run.recipe for run in runs)}
    baseline = by_recipe.pop(BASELINE)
    if baseline.fault is not None:
        raise RaysegError(
            f"the baseline failed, so nothing can be compared with it ({baseline.fault}); "
            "repair that, and remove the directory 'confirm' of the sweep to begin anew"
        )
    found = {name: seeds_wanted(baseline, own, metric, rules) for name, own in by_recipe.items()}
    return {BASELINE: max(found.values()), **found}


def make_confirmation(
    base: ExperimentConfig, directory: Path, rules: PairRules, recipes: Sequence[Recipe], runs: Sequence[SeedRun]
) -> Confirmation:
    """The verdicts, from the runs of both stages and the counts of their images."""
    metric, mode = base.checkpoint.best, base.checkpoint.mode
    found = {recipe.name: _with_images(directory, runs, recipe.name, metric) for recipe in recipes}
    names = _class_names(directory)
    baseline = found[BASELINE]
    candidates = tuple(
        compare(
            recipe.name, recipe.changed, baseline, found[recipe.name], metric=metric, mode=mode, rules=rules, class_names=names
        )
        for recipe in recipes
        if recipe.name != BASELINE
    )
    stands = standing(candidates, mode)
    (recipe,) = (each for each in recipes if each.name == stands)
    config = base.with_({**recipe.changed, "tracking.name": None})
    rows = [{"recipe": run.recipe, "seed": run.seed, "fault": run.fault, **_scores(directory, run)} for run in runs]
    own, changed = directory / "confirm", _has_changed(directory)
    return Confirmation(
        candidates, stands, config, metric, mode, rules, rows, own, _run_id(directory), changed, recipe.schedule
    )


def write_confirmation(found: Confirmation) -> None:
    """Every file; ``confirmation.json`` last, which says that it has ended."""
    write_yaml(found.config, found.directory.parent / "confirmed.yaml")
    if found.schedule:
        lineage = [{"from": first, "recipe": dict(recipe)} for first, recipe in found.schedule]
        write_schedule(lineage, found.directory.parent / "confirmed.yaml", "confirmed-schedule.yaml")
    write_parquet(found.runs, found.directory / "runs.parquet")
    _write(found.directory / "confirmation.txt", f"{found}\n")
    kept = {"metric": found.metric, "standing": found.standing, "rules": asdict(found.rules), "changed": found.changed}
    _write(
        found.directory / "confirmation.json",
        json.dumps({**kept, "candidates": [asdict(each) for each in found.candidates]}, indent=2),
    )


def read_confirmation(
    base: ExperimentConfig, directory: Path, rules: PairRules, recipes: Sequence[Recipe]
) -> Confirmation | None:
    """What a confirmation that has ended found; None where it has not ended."""
    if not (directory / "confirm" / "confirmation.json").is_file():
        return None
    runs = [*(read_stage(directory, "first") or []), *(read_stage(directory, "more") or [])]
    return make_confirmation(base, directory, rules, recipes, runs)


def _runs_of(name: str, runs: Sequence[SeedRun], metric: str) -> RecipeRuns:
    own = [run for run in runs if run.recipe == name]
    faults = [f"seed {run.seed}: {fault}" for run in own if (fault := _fault(run, metric))]
    return RecipeRuns([run.scores for run in own], fault="; ".join(faults) or None)


def _fault(run: SeedRun, metric: str) -> str | None:
    if run.fault is None and metric not in run.scores:
        return f"it did not report {metric}"
    return run.fault and run.fault.strip()


def _with_images(directory: Path, runs: Sequence[SeedRun], name: str, metric: str) -> RecipeRuns:
    """Runs of a recipe with the scores of the test split and the counts of both; those that nobody counted are not compared."""
    found = _runs_of(name, runs, metric)
    own = [run for run in runs if run.recipe == name]
    splits = {split: [image_file(directory, run, split) for run in own] for split in ("val", "test")}
    counts = {
        split: np.stack([_load(path, "counts") for path in paths if path.is_file()])
        for split, paths in splits.items()
        if any(path.is_file() for path in paths)
    }
    return RecipeRuns([_scores(directory, run) for run in own], counts, found.fault)


def _scores(directory: Path, run: SeedRun) -> dict[str, float]:
    path = image_file(directory, run, "test")
    tested: dict[str, float] = json.loads(str(_load(path, "metrics"))) if path.is_file() else {}
    return {**run.scores, **tested}


def _load(path: Path, name: str) -> NDArray[Any]:
    with np.load(path) as file:
        found: NDArray[Any] = file[name]
        return found


def _class_names(directory: Path) -> tuple[str, ...]:
    first = next((directory / "confirm" / "images").glob("*.npz"), None)
    return () if first is None else tuple(str(name) for name in _load(first, "class_names"))


def _has_changed(directory: Path) -> bool:
    path = directory / "confirm" / "provenance.json"
    return path.is_file() and len(json.loads(path.read_text(encoding="utf-8"))) > 1


def _run_id(directory: Path) -> str | None:
    path = directory / "mlflow_run_id"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def _write(path: Path, text: str) -> None:
    staged = path.with_name(f".{path.name}")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
