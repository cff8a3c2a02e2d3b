"""A search on a cluster: parent run, Tune over light trials, summary."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ray
from rayseg.build import counts_of, keeping, plan_of
from rayseg.engine.plan import Plan
from rayseg.errors import TrackingError
from rayseg.launch.cluster import connect, require_resources
from rayseg.launch.desk import DeskStore, opened_desk, require_store
from rayseg.launch.lineage import LINEAGE, SCHEDULE
from rayseg.launch.notes import NOTE, SIDE_BY_SIDE, keep_link, sweep_note, sweep_view
from rayseg.launch.provenance import record_provenance
from rayseg.launch.ray_train import import_paths
from rayseg.launch.records import closing, finisher, open_record
from rayseg.launch.reporting import REPORT, write_report
from rayseg.launch.request import SweepRequest
from rayseg.launch.search import max_concurrent, run_trials
from rayseg.launch.showing import make_pictures
from rayseg.launch.spans import SPANS, recorded_span
from rayseg.launch.summary import ENDING, EndedTrial, SweepResult, summarise
from rayseg.launch.trial import TrialPlan
from rayseg.launch.warm import Warmth, warm_start
from rayseg.launch.watch import recipe_board, watched
from rayseg.report.live import SearchView
from rayseg.space import corners, keys_of
from rayseg.tracking import RunStatus, owner_tags, source_tags

__all__ = ["closing_children", "run_sweep"]


def run_sweep(request: SweepRequest, directory: Path) -> SweepResult:
    """Search, or go on with a search that was interrupted in this directory."""
    lengths, warmth = plan_of(request.base, request.components), warm_start(request)
    keys = [*keys_of(request.space), *request.baseline]
    board = recipe_board(f"sweep {request.name}", request.metric, request.mode, lengths.total_steps, keys)
    with watched(str(directory), board) as view:
        return _searched(request, directory, lengths, view, warmth)


def _searched(request: SweepRequest, directory: Path, lengths: Plan, view: SearchView, warmth: Warmth) -> SweepResult:
    require_store(request.base)
    if warmth.told:
        view.say(warmth.told)
    view.doing("starting Ray")
    connect()
    require_resources(request.base)
    started = time.time()
    view.doing("opening the store")
    with opened_desk(request.base, str(directory)) as desk:
        records = None if request.base.tracking.mlflow is None else DeskStore(desk)
        warm = {"rayseg.warm_start": warmth.told} if warmth.told else {}
        parent = open_record(records, request.base, directory, tags={"rayseg.kind": "sweep", **warm})
        with closing(finisher(records, parent)):
            if records is not None and parent is not None:
                view.say(records.link(parent, request.base.tracking.storage))
                page = _share_view(records, parent, request, None, view)
                if page is not None:
                    view.say(f"trials  {page}")
            view.doing("looking at the data")
            record_provenance(request.base, request.components, directory, records, parent)
            plan = _plan(request, directory, desk, parent, lengths)
            view.doing("")
            with keeping(request.base) as place, recorded_span(directory / SPANS):
                plan = replace(plan, place=place)
                trials = closing_children(plan, lambda: run_trials(request, plan, lengths, warmth.known))
            view.doing("pictures and the report")
            (directory / ENDING).touch()
            took, places = time.time() - started, max_concurrent(request, len(trials))
            summary = summarise(request, trials, directory, lengths.total_steps, took, parent, places)
            make_pictures(request.base, summary, trials, request.components)
            if records is not None and parent is not None:
                page = _share_view(records, parent, request, summary, view)
                keep_link(directory, {} if page is None else {SIDE_BY_SIDE: page})
            write_report(directory)
            if records is not None and parent is not None:
                _record_summary(records, parent, summary)
            (directory / ENDING).unlink()
    return summary


def _plan(request: SweepRequest, directory: Path, desk: Any, parent: str | None, lengths: Plan) -> TrialPlan:
    recipes = [request.base.with_(point) for point in [{}, dict(request.baseline), *corners(request.space)]]
    return TrialPlan(
        base=request.base.to_dict(),
        directory=str(directory),
        desk=desk,
        parent_run_id=parent,
        owner={**owner_tags(), **source_tags()},
        total_steps=lengths.total_steps,
        import_paths=tuple(import_paths()),
        components=request.components,
        counts=counts_of(request.base, recipes, request.components),
        searched=tuple(keys_of(request.space)),
    )


def closing_children(plan: TrialPlan, run: Callable[[], list[EndedTrial]]) -> list[EndedTrial]:
    """Run trials; afterwards no child run is open, whatever became of the process that had it."""
    status: RunStatus = "FAILED"
    trials: list[EndedTrial] = []
    try:
        trials = run()
        return trials
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        ended: dict[str, RunStatus] = {each.trial: "FAILED" if each.fault else "FINISHED" for each in trials}
        for trial, note in ray.get(plan.desk.notes.remote("trial/")).items():
            finisher(DeskStore(plan.desk), note["run_id"])(ended.get(trial, status))


def _share_view(
    records: DeskStore, parent: str, request: SweepRequest, summary: SweepResult | None, terminal: SearchView
) -> str | None:
    """Show the trials side by side in MLflow; the address. Made again at the end, when classes and missing values are known.

    It is a convenience: a store that refuses it costs no search.
    """
    keys = tuple(keys_of(request.space))
    view = sweep_view(summary, name=request.name, run_id=parent, metric=request.metric, mode=request.mode, searched=keys)
    try:
        return records.share_view(view)
    except TrackingError as error:
        terminal.say(f"MLflow has no page of the trials side by side: {error}")
        return None


def _record_summary(records: DeskStore, parent: str, summary: SweepResult) -> None:
    """Leaderboard, best recipe and report on the sweep's own run; on each trial's how it ended, in the words of the table."""
    bred = [LINEAGE, *([SCHEDULE] if summary.schedule else [])] if summary.bred else []
    for name in ("best.yaml", "table.parquet", "table.txt", "effects.txt", "sweep.json", *bred, REPORT):
        records.log_artifact(parent, name, (summary.directory / name).read_bytes())
    scores = {key: value for key, value in summary.best_metrics.items() if key.startswith("val/")}
    use = (
        {}
        if summary.use is None
        else {f"sweep/{name}": value for name, value in asdict(summary.use).items() if value is not None}
    )
    records.log_batch(parent, [(summary.best_step, scores | use)])
    for row in summary.table:
        if row["run_id"] is not None:
            records.set_tags(row["run_id"], {"rayseg.ended": row["status"]})
            also = {name: float(row[name]) for name in summary.others if row.get(name) is not None}
            records.log_batch(row["run_id"], [(row["step"], also)] if also else [])
    told = {"rayseg.best": summary.best_name, "rayseg.trials": str(len(summary.table)), NOTE: sweep_note(summary)}
    records.set_tags(parent, told)
