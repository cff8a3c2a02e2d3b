"""Pictures of a sweep's best recipes, predicted where its trials ran."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import ray
from rayseg.build import Components
from rayseg.config import ExperimentConfig
from rayseg.launch.cluster import worker_resources
from rayseg.launch.desk import asked
from rayseg.launch.ray_train import import_paths
from rayseg.launch.recipes import BASELINE
from rayseg.launch.shown import keep_shown, show_images
from rayseg.launch.summary import EndedTrial, SweepResult
from rayseg.report import ShownImage

__all__ = ["make_pictures"]

#: Recipes beside the baseline.
_BEST = 3
#: A sweep does not wait longer for its pictures.
_LONGEST_S = 600


def make_pictures(base: ExperimentConfig, summary: SweepResult, trials: Sequence[EndedTrial], components: Components) -> None:
    """Keep validation images under the baseline and the three best others; a fault costs only the pictures, and is kept.

    Args:
        base: of the sweep; ``tracking.pictures`` of its validation images are shown.
        summary: says which are best.
        trials: their checkpoints.
        components: name -> callable given by value.
    """
    newest = {trial.directory: str(trial.checkpoint) for trial in trials if trial.checkpoint is not None}
    ranked = [row for row in summary.table if row["rank"] is not None and Path(row["directory"]) in newest]
    best = [row for row in ranked if row["trial"] != BASELINE][:_BEST]
    shown = [*(row for row in ranked if row["trial"] == BASELINE), *best]
    checkpoints = {row["trial"]: newest[Path(row["directory"])] for row in shown}
    if not base.tracking.pictures or not checkpoints:
        keep_shown(summary.directory, [], "no trial kept a checkpoint" if base.tracking.pictures else "tracking.pictures is 0")
        return
    needs = worker_resources(base)
    task = ray.remote(_shower(tuple(import_paths()), components)).options(
        num_cpus=needs["CPU"], num_gpus=needs.get("GPU", 0.0), max_retries=1
    )
    shown_there = task.remote(checkpoints, base.tracking.pictures)
    try:
        images = asked(shown_there, _LONGEST_S)
        keep_shown(summary.directory, images, None)
    except Exception as error:
        ray.cancel(shown_there, force=True)
        keep_shown(summary.directory, [], f"{type(error).__name__}: {error}".partition("\n")[0])


def _shower(paths: tuple[str, ...], components: Components) -> Callable[[dict[str, str], int], list[ShownImage]]:
    """A task that predicts."""

    def show(checkpoints: dict[str, str], count: int) -> list[ShownImage]:
        sys.path.extend(path for path in paths if path not in sys.path)
        return show_images(checkpoints, count, components)

    return show
