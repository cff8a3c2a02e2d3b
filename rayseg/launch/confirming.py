"""A confirmation on a cluster: runs of the first seeds, those that the spread asks for, every image, the verdict."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import ray
from rayseg.build import Components, counts_of, evaluate_images, keeping, plan_of
from rayseg.config import ExperimentConfig
from rayseg.engine.checkpoint import step_of
from rayseg.engine.history import History
from rayseg.errors import RaysegError
from rayseg.launch.cluster import connect, require_resources, worker_resources
from rayseg.launch.confirmed import (
    Confirmation,
    SeedRun,
    Stage,
    image_file,
    make_confirmation,
    read_stage,
    wanted_seeds,
    write_confirmation,
    write_stage,
)
from rayseg.launch.desk import DeskStore, asked, opened_desk, require_store
from rayseg.launch.notes import NOTE, sweep_note
from rayseg.launch.provenance import record_provenance
from rayseg.launch.ray_train import import_paths
from rayseg.launch.recipes import Recipe
from rayseg.launch.records import closing, finisher, open_record
from rayseg.launch.reporting import REPORT, write_report
from rayseg.launch.request import SweepRequest
from rayseg.launch.search import run_points
from rayseg.launch.searching import closing_children
from rayseg.launch.summary import EndedTrial, read_summary
from rayseg.launch.trial import TrialPlan, fault_of
from rayseg.launch.watch import recipe_board, watched
from rayseg.report import PairRules
from rayseg.report.live import SearchView
from rayseg.tracking import owner_tags, source_tags

__all__ = ["run_confirmation"]

#: Largest seed of a config.
_MAX_SEED = 2**31 - 1


def run_confirmation(
    base: ExperimentConfig,
    directory: Path,
    rules: PairRules,
    recipes: Sequence[Recipe],
    components: Components,
    max_concurrent: int | None,
) -> Confirmation:
    """Confirm, or go on with a confirmation that was interrupted in this directory."""
    keep = base.checkpoint
    request = SweepRequest(base, {}, keep.best, keep.mode, len(recipes), "random", None, {}, max_concurrent, None, components)
    steps = plan_of(base, components).total_steps
    board = recipe_board(f"confirmation of {directory.name}", keep.best, keep.mode, steps, [], ranks=False)
    with watched(str(directory / "confirm"), board) as view:
        return _confirmed(request, directory, rules, recipes, view)


def _confirmed(
    request: SweepRequest, directory: Path, rules: PairRules, recipes: Sequence[Recipe], view: SearchView
) -> Confirmation:
    base, components = request.base, request.components
    require_store(base)
    view.doing("starting Ray")
    connect()
    require_resources(base)
    view.doing("opening the store")
    with opened_desk(base, str(directory / "confirm")) as desk:
        records = None if base.tracking.mlflow is None else DeskStore(desk)
        parent = open_record(records, base, directory, tags={"rayseg.kind": "sweep"})
        with closing(finisher(records, parent)):
            if records is not None and parent is not None:
                view.say(records.link(parent, base.tracking.storage))
            record_provenance(base, components, directory, records, parent)
            record_provenance(base, components, directory / "confirm", None, None)
            plan = _plan(request, directory, desk, parent, recipes)
            view.doing("")
            with keeping(base) as place:
                runs = _trained(request, replace(plan, place=place), directory, rules, recipes)
            view.doing("scoring every image of every run, and the report")
            _count_images(base, directory, _compared(runs, rules, request.metric), components)
            found = make_confirmation(base, directory, rules, recipes, runs)
            write_report(directory, found)
            write_confirmation(found)
            if records is not None and parent is not None:
                _record(records, parent, found)
    return found


def _plan(request: SweepRequest, directory: Path, desk: Any, parent: str | None, recipes: Sequence[Recipe]) -> TrialPlan:
    configs = [request.base, *(request.base.with_(dict(recipe.changed)) for recipe in recipes)]
    return TrialPlan(
        base=request.base.to_dict(),
        directory=str(directory / "confirm"),
        desk=desk,
        parent_run_id=parent,
        owner={**owner_tags(), **source_tags()},
        total_steps=plan_of(request.base, request.components).total_steps,
        import_paths=tuple(import_paths()),
        components=request.components,
        counts=counts_of(request.base, configs, request.components),
    )


def _trained(
    request: SweepRequest, plan: TrialPlan, directory: Path, rules: PairRules, recipes: Sequence[Recipe]
) -> list[SeedRun]:
    """The runs of both stages; what has ended is not run again."""
    seeds = [(request.base.seed + 1 + index) % (_MAX_SEED + 1) for index in range(rules.max_seeds)]
    points = [recipe.point(seed) for seed in seeds[: rules.seeds] for recipe in recipes]
    first = _stage(request, plan, directory, "first", points)
    wanted = wanted_seeds(first, rules, request.metric)
    more = [
        recipe.point(seed)
        for index, seed in enumerate(seeds[rules.seeds :], rules.seeds)
        for recipe in recipes
        if index < wanted[recipe.name]
    ]
    return [*first, *(_stage(request, plan, directory, "more", more) if more else [])]


def _stage(
    request: SweepRequest, plan: TrialPlan, directory: Path, stage: Stage, points: Sequence[dict[str, Any]]
) -> list[SeedRun]:
    """Run the points of a stage, unless they have ended before; a process that died for good leaves the stage open."""
    done = read_stage(directory, stage)
    if done is not None:
        return done
    ended = closing_children(plan, lambda: run_points(request, plan, points, f"tune-{stage}"))
    died = [each for each in ended if each.fault is not None and fault_of(each.directory) is None]
    if died:
        told = "; ".join(f"{each.directory.name}: {(each.fault or '').strip().partition(chr(10))[0]}" for each in died)
        raise RaysegError(f"{len(died)} of {len(ended)} runs died ({told}); call it again, and they go on")
    order = {(point["recipe"], point["seed"]): place for place, point in enumerate(points)}
    runs = sorted((_seed_run(each) for each in ended), key=lambda run: order[run.recipe, run.seed])
    write_stage(directory, stage, runs)
    return runs


def _seed_run(each: EndedTrial) -> SeedRun:
    checkpoint = None if each.checkpoint is None else str(each.checkpoint)
    fault = each.fault or _unlike_its_checkpoint(each)
    return SeedRun(each.point["recipe"], each.point["seed"], str(each.directory), checkpoint, fault)


def _unlike_its_checkpoint(each: EndedTrial) -> str | None:
    """Scores and images are to be of the same weights."""
    judged = History(each.directory / "metrics.jsonl").rows()[-1][0]
    saved = None if each.checkpoint is None else step_of(each.checkpoint)
    return None if saved == judged else f"its last evaluation is of step {judged}, its last checkpoint of {saved}"


def _compared(runs: Sequence[SeedRun], rules: PairRules, metric: str) -> list[SeedRun]:
    """The runs on which verdicts rest: those of a recipe that failed are of no use."""
    wanted = wanted_seeds(runs, rules, metric)
    return [run for run in runs if wanted[run.recipe] > 0]


def _count_images(base: ExperimentConfig, directory: Path, runs: Sequence[SeedRun], components: Components) -> None:
    """Count the pixels of every image of both splits, as tasks; the test split is looked at here and nowhere else."""
    needs = worker_resources(base)
    options = {"num_cpus": needs["CPU"], "num_gpus": needs.get("GPU", 0.0), "max_retries": 1}
    count = ray.remote(_counted(tuple(import_paths()), components)).options(**options)
    splits = ["val"] if base.data.test_split is None else ["val", "test"]
    places = [(run, split, image_file(directory, run, split)) for split in splits for run in runs]
    tasks = [(path, count.remote(run.checkpoint, split)) for run, split, path in places if not path.is_file()]
    for path, task in tasks:
        _keep(path, *asked(task))


def _counted(paths: tuple[str, ...], components: Components) -> Callable[[str, str], tuple[str, Any, list[str]]]:
    """A task that tells the scores of a checkpoint over a split, as JSON, the counts of its images and the names of classes."""

    def count(checkpoint: str, split: str) -> tuple[str, Any, list[str]]:
        sys.path.extend(path for path in paths if path not in sys.path)
        found = evaluate_images(checkpoint, split=None if split == "val" else split, components=components)
        return json.dumps(found.metrics), found.counts.numpy(), list(found.class_names)

    return count


def _keep(path: Path, metrics: str, counts: Any, class_names: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    staged = path.with_name(f".{path.name}")
    np.savez_compressed(staged, metrics=np.array(metrics), counts=counts, class_names=np.array(class_names))
    staged.replace(path)


def _record(records: DeskStore, parent: str, found: Confirmation) -> None:
    """Verdicts on the sweep's own run: files, a metric per number, and in its tags what stands."""
    for name in ("confirmation.txt", "confirmation.json", "runs.parquet"):
        records.log_artifact(parent, f"confirm/{name}", (found.directory / name).read_bytes())
    for name in ("confirmed.yaml", REPORT):
        records.log_artifact(parent, name, (found.directory.parent / name).read_bytes())
    numbers = {
        f"confirm/{each.name}/{name}": value
        for each in found.candidates
        if each.difference is not None
        for name, value in (("difference", each.difference.mean), ("low", each.difference.low), ("high", each.difference.high))
    }
    records.log_batch(parent, [(0, numbers)])
    verdicts = ", ".join(f"{each.name}: {each.verdict}" for each in found.candidates)
    summary = read_summary(found.directory.parent)
    note = {} if summary is None else {NOTE: sweep_note(summary, found)}
    records.set_tags(parent, {"rayseg.confirmed": found.standing, "rayseg.verdicts": verdicts, **note})
