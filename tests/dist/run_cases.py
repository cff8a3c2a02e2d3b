"""What one group of workers does for the tests of whole runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rayseg.build import assemble
from rayseg.collective import is_main, rank, world_size
from rayseg.engine import LocalReporter, fit
from rayseg.inference import evaluate_split
from rayseg.keeping import KeepingPlace
from rayseg.types import Batch
from tests.engine.runs import Log, Outcome, compare, finish, full, start, stop

#: An evaluation in windows and views, several of both for each image.
WINDOWS = {
    "eval.mode": "slide",
    "eval.crop_size": [20, 24],
    "eval.stride": [12, 20],
    "eval.tta.scales": [0.75, 1.0],
    "eval.tta.flip": True,
    "eval.metrics": ["mIoU", "mBoundaryIoU"],
}
CHAOS = {"train.steps": 36, "checkpoint.every": 3, "eval.every": 9}


def whole_and_stopped(folder: Path, stops: Sequence[int]) -> tuple[Outcome, list[str]]:
    """The uninterrupted run, and how one that was stopped at some steps differs from it."""
    whole = finish(full(), folder / "whole")
    logged: Log = {}
    for step in stops:
        stop(full(), folder / "stopped", step, logged)
    return whole, compare(finish(full(), folder / "stopped", logged), whole)


def stopped_at(folder: Path, step: int) -> None:
    """A run that was stopped, for other numbers of workers to go on with."""
    stop(full(), folder, step)


def evaluation(folder: Path, dtype: torch.dtype, **overrides: Any) -> tuple[dict[str, float], Tensor]:
    """Scores and confusion matrix of the untrained model over ten images."""
    experiment = assemble(full(**{"eval.batch_size": 3, **overrides}), LocalReporter(folder))
    evaluator = experiment.evaluator

    def batches() -> Iterator[tuple[Batch, list[int]]]:
        for batch, indices in evaluator.batches(rank(), world_size()):
            yield Batch(batch.images.to(dtype), batch.masks, batch.keys), indices

    return evaluate_split(
        experiment.fit.state.model.to(dtype),
        batches(),
        class_names=evaluator.class_names,
        ignore_index=255,
        metrics=experiment.config.eval.metrics,
        mix=evaluator.mix,
        inference=evaluator.inference,
    )


def kept(folder: Path, whole: Outcome) -> tuple[list[str], list[str]]:
    """How a run whose workers share decoded samples differs from one without, and which samples they keep."""
    place = KeepingPlace(folder / "place")
    place.directory.mkdir(parents=True, exist_ok=True)
    differs = compare(finish(full(**{"data.cache": "auto"}), folder / "run", place=place), whole)
    return [each for each in differs if "cache" not in each], sorted(path.name for path in place.directory.iterdir())


def everything(folder: Path, stops: Sequence[int]) -> dict[str, Any]:
    """All of the above, in one group."""
    whole, differences = whole_and_stopped(folder, stops)
    stopped_at(folder / "handed over", 7)
    scores = {dtype: evaluation(folder, dtype) for dtype in (torch.float64, torch.float32)}
    windows = evaluation(folder, torch.float64, **WINDOWS)
    shared = kept(folder / "kept", whole)
    return {"whole": whole, "differences": differences, "scores": scores, "windows": windows, "kept": shared}


def run_and_write_log(folder: Path) -> None:
    """Run to the end; every line of the log goes to a file, which survives a kill."""
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:

        def on_log(step: int, metrics: Mapping[str, float]) -> None:
            file.write(json.dumps([step, {k: v for k, v in metrics.items() if not k.startswith("perf/")}]) + "\n")
            file.flush()

        fit(start(full(**CHAOS), folder, on_log if is_main() else None))
