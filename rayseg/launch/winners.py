"""Which checkpoint of a run or a search is the one to use; nothing here needs Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayseg.config import ExperimentConfig, read_config_file
from rayseg.engine.checkpoint import best_whole, is_whole
from rayseg.engine.history import History
from rayseg.errors import CheckpointError
from rayseg.launch.confirmed import read_stage
from rayseg.launch.lineage import read_lineage
from rayseg.launch.parts import newest_of

__all__ = ["Winner", "winner_of"]


@dataclass(frozen=True)
class Winner:
    """A checkpoint, and why this one.

    Args:
        checkpoint: its directory.
        run: directory of the run that it is of.
        why: in a few words.
    """

    checkpoint: Path
    run: Path
    why: str


def winner_of(place: str | Path) -> Winner:
    """The checkpoint of a place.

    Of a search that was confirmed: the recipe that stands, trained with the first of the new seeds; the seed with the best
    score would have been chosen for its luck. Of one that was not: the trial that was ranked first, at its last evaluation. Of
    a run: its best. A checkpoint is itself.

    Args:
        place: directory of a search, a run or a checkpoint.

    Raises:
        CheckpointError: there is no whole checkpoint.

    Example:
        >>> winner_of("runs/ohem").why  # doctest: +SKIP
        'recipe 8455e_00001 of ohem, confirmed'
    """
    directory = Path(place).expanduser().resolve()
    if is_whole(directory):
        return Winner(directory, _run_above(directory), "this checkpoint")
    found = _confirmed(directory) or _ranked_first(directory) or _best_of_run(directory)
    if found is None or not is_whole(found.checkpoint):
        where = directory if found is None else found.checkpoint
        raise CheckpointError(
            f"{where}: no whole checkpoint; name the directory of a search that has ended, a run or a checkpoint"
        )
    return found


def _run_above(checkpoint: Path) -> Path:
    """The run of a checkpoint: where its config says, or else around it."""
    tracking = ExperimentConfig.from_dict(read_config_file(checkpoint / "config.yaml")).tracking
    told = Path(tracking.storage).expanduser() / str(tracking.name)
    around = [each for each in checkpoint.parents[:2] if (each / "metrics.jsonl").is_file()]
    return around[0] if around else told.resolve()


def _confirmed(directory: Path) -> Winner | None:
    kept = directory / "confirm" / "confirmation.json"
    if not kept.is_file():
        return None
    standing = json.loads(kept.read_text(encoding="utf-8"))["standing"]
    run = next(each for each in read_stage(directory, "first") or [] if each.recipe == standing)
    text = (
        f"recipe {standing} of {directory.name}, confirmed"
        if standing != "baseline"
        else f"baseline of {directory.name}: none was better"
    )
    return Winner(Path(str(run.checkpoint)), Path(run.directory), text)


def _ranked_first(directory: Path) -> Winner | None:
    kept = directory / "summary.json"
    if not kept.is_file():
        return None
    row = json.loads(kept.read_text(encoding="utf-8"))["table"][0]
    run = directory / Path(row["directory"]).name
    checkpoint = newest_of(_tune_directory(directory, row), run)
    return (
        None
        if checkpoint is None
        else Winner(checkpoint, run, f"trial {row['trial']} of {directory.name}, ranked first, not confirmed")
    )


def _tune_directory(directory: Path, row: Mapping[str, Any]) -> Path:
    """Where Tune keeps the checkpoints of a trial of one worker.

    A member of a population has a name for each of its segments: the last counts. Earlier versions called the baseline by
    a name of its own there.
    """
    segments = [each["trial"] for each in read_lineage(directory) if each["run"] == row["trial"] and each["trial"] is not None]
    found = next(directory.glob(f"tune*/{[row['trial'], *segments][-1]}"), None)
    if found is not None or row["trial"] != "baseline":
        return found or directory
    told = (directory / "tune").glob("*/params.json")
    return next((each.parent for each in told if _is_baseline(each)), directory)


def _is_baseline(params: Path) -> bool:
    return bool(json.loads(params.read_text(encoding="utf-8")).get("point", {}).get("baseline"))


def _best_of_run(directory: Path) -> Winner | None:
    kept = directory / "config.yaml"
    if not kept.is_file():
        return None
    keep = ExperimentConfig.from_dict(read_config_file(kept)).checkpoint
    checkpoint = best_whole(directory, History(directory / "metrics.jsonl").rows(), keep.best, keep.mode)
    return None if checkpoint is None else Winner(checkpoint, directory, f"best checkpoint of {directory.name}")
