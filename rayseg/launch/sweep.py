"""A recipe search: preflight, parent run, Tune over light trials, summary."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import ray
from rayseg.build import Components, plan_of
from rayseg.config import ExperimentConfig, read_config_file
from rayseg.engine.plan import Plan
from rayseg.launch.cluster import connect, require_resources
from rayseg.launch.desk import DeskStore, opened_desk
from rayseg.launch.ray_train import import_paths
from rayseg.launch.records import closing, finisher, open_record
from rayseg.launch.request import SweepRequest, preflight, same_search
from rayseg.launch.run import named, prepare_directory
from rayseg.launch.search import EndedTrial, run_trials
from rayseg.launch.searchers import Scheduler, Searcher
from rayseg.launch.summary import SweepResult, read_summary, summarise
from rayseg.launch.trial import TrialPlan
from rayseg.space import Space
from rayseg.tracking import RunStatus, owner_tags

__all__ = ["sweep"]


def sweep(  # noqa: PLR0913 - a search has that many sides, each with a default
    base: ExperimentConfig | str | Path,
    space: Space,
    *,
    metric: str | None = None,
    mode: Literal["max", "min"] | None = None,
    num_samples: int = 8,
    searcher: Searcher = "random",
    scheduler: Scheduler | None = "asha",
    baseline: Mapping[str, Any] | None = None,
    max_concurrent: int | None = None,
    grace_steps: int | None = None,
    components: Components | None = None,
) -> SweepResult:
    """Search a space of recipes around a base experiment.

    Trial 0 is the baseline. A sweep whose name exists in its storage goes on where it was; finished trials are not repeated.
    Trials that fail cost only themselves; they are in the table without a rank.

    Args:
        base: an experiment, or a config file; ``tracking.name`` is the sweep's name.
        space: dotted key -> dimension (``rayseg.space``).
        metric: to compare by; None: ``checkpoint.best`` of the base.
        mode: whether more or less of it is better; None: ``checkpoint.mode``.
        num_samples: trials besides the baseline; a grid has as many as it has points.
        searcher: ``random``, ``grid``, or ``optuna`` (needs the extra of that name).
        scheduler: ``asha`` ends bad trials early, None runs each to its end.
        baseline: overrides of trial 0 on top of the base; None: the base itself.
        max_concurrent: trials at a time; None: as many as the cluster holds.
        grace_steps: no trial is ended before this step; None: a fifth of the run, at an evaluation.
        components: name -> callable given by value.

    Raises:
        ConfigError: everything that is wrong with the base or with a corner of the space, before any trial starts.

    Example:
        >>> from rayseg.space import log_uniform
        >>> result = sweep(ExperimentConfig(), {"optim.lr": log_uniform(1e-4, 1e-2)}, num_samples=4)  # doctest: +SKIP
        >>> print(result)  # doctest: +SKIP
    """
    config = ExperimentConfig.from_dict(read_config_file(base)) if isinstance(base, (str, Path)) else base
    keep = config.checkpoint
    best, better = metric or keep.best, mode or keep.mode
    request = SweepRequest(
        base=named(config, "sweep").with_({"checkpoint.best": best, "checkpoint.mode": better}),
        space=space,
        metric=best,
        mode=better,
        num_samples=num_samples,
        searcher=searcher,
        scheduler=scheduler,
        baseline=baseline or {},
        max_concurrent=max_concurrent,
        grace_steps=grace_steps,
        components=components or {},
    )
    preflight(request)
    directory = prepare_directory(request.base)
    same_search(request, directory)
    done = read_summary(directory)
    return _run(request, directory) if done is None else done


def _run(request: SweepRequest, directory: Path) -> SweepResult:
    connect()
    require_resources(request.base)
    started, lengths = time.time(), plan_of(request.base, request.components)
    with opened_desk(request.base, str(directory)) as desk:
        records = None if request.base.tracking.mlflow is None else DeskStore(desk)
        parent = open_record(records, request.base, directory, tags={"rayseg.kind": "sweep"})
        with closing(finisher(records, parent)):
            plan = _plan(request, directory, desk, parent, lengths)
            trials = _trials(request, plan, lengths)
            summary = summarise(request, trials, directory, lengths.total_steps, time.time() - started, parent)
            if records is not None and parent is not None:
                _record_summary(records, parent, summary)
    return summary


def _plan(request: SweepRequest, directory: Path, desk: Any, parent: str | None, lengths: Plan) -> TrialPlan:
    return TrialPlan(
        base=request.base.to_dict(),
        directory=str(directory),
        desk=desk,
        parent_run_id=parent,
        owner=owner_tags(),
        total_steps=lengths.total_steps,
        import_paths=tuple(import_paths()),
        components=request.components,
    )


def _trials(request: SweepRequest, plan: TrialPlan, lengths: Plan) -> list[EndedTrial]:
    """Run the trials; afterwards no child run is open, whatever became of the process that had it."""
    status: RunStatus = "FAILED"
    trials: list[EndedTrial] = []
    try:
        trials = run_trials(request, plan, lengths)
        return trials
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        ended: dict[str, RunStatus] = {trial.trial_id: "FAILED" if trial.fault else "KILLED" for trial in trials}
        for trial_id, note in ray.get(plan.desk.notes.remote("trial/")).items():
            finisher(DeskStore(plan.desk), note["run_id"])(ended.get(trial_id, status))


def _record_summary(records: DeskStore, parent: str, summary: SweepResult) -> None:
    """Leaderboard and best recipe on the sweep's own run."""
    for name in ("best.yaml", "table.parquet", "table.txt", "sweep.json"):
        records.log_artifact(parent, name, (summary.directory / name).read_bytes())
    scores = {key: value for key, value in summary.best_metrics.items() if key.startswith("val/")}
    records.log_batch(parent, [(summary.best_step, scores)])
    records.set_tags(parent, {"rayseg.best": summary.best_name, "rayseg.trials": str(len(summary.table))})
