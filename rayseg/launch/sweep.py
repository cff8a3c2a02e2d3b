"""A recipe search: preflight, parent run, Tune over light trials, summary."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import ray.tune

import ray
from rayseg.build import Components, check, plan_of, worker_counts
from rayseg.config import ExperimentConfig, plain, read_config_file
from rayseg.errors import ConfigError, Problem
from rayseg.launch.cluster import connect, require_resources, worker_resources
from rayseg.launch.desk import DeskStore, open_desk
from rayseg.launch.records import open_record, open_store
from rayseg.launch.run import named, prepare_directory
from rayseg.launch.searchers import Scheduler, Searcher, make_points, make_scheduler, make_search
from rayseg.launch.summary import SweepResult, summarise
from rayseg.launch.trial import Trial, TrialPlan, as_function
from rayseg.launch.watch import Watch
from rayseg.space import Space, corners
from rayseg.tracking import RunStatus, owner_is_alive, owner_tags

__all__ = ["sweep"]

#: Keys that decide how long a trial is: ASHA compares trials at the same step of equally long runs.
_LENGTHS = ("train.steps", "train.epochs", "eval.every", "data.dataset", "data.train_split")


@dataclass(frozen=True)
class _Request:
    """What the caller of ``sweep`` asked for."""

    base: ExperimentConfig
    space: Space
    metric: str
    mode: Literal["max", "min"]
    num_samples: int
    searcher: Searcher
    scheduler: Scheduler | None
    baseline: Mapping[str, Any] | None
    max_concurrent: int | None
    grace_steps: int | None
    components: Components = field(default_factory=dict)


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
    config = named(config, "sweep")
    keep = config.checkpoint
    request = _Request(
        base=config.with_({"checkpoint.best": metric or keep.best, "checkpoint.mode": mode or keep.mode}),
        space=space,
        metric=metric or keep.best,
        mode=mode or keep.mode,
        num_samples=num_samples,
        searcher=searcher,
        scheduler=scheduler,
        baseline=baseline,
        max_concurrent=max_concurrent,
        grace_steps=grace_steps,
        components=components or {},
    )
    preflight(request)
    return _run(request)


def preflight(request: _Request) -> None:
    """Validate the base, every corner of the space and the baseline in the driver.

    Raises:
        ConfigError: every problem; those of a corner say at which value.
    """
    problems = list(check(request.base, request.components))
    problems += [
        Problem(key, "cannot be searched: trials are compared at equal steps of equally long runs; choose one value for all")
        for key in request.space
        if key.startswith(_LENGTHS)
    ]
    if not request.space:
        problems.append(
            Problem("", "the search space is empty; give at least one key, such as {'optim.lr': log_uniform(1e-4, 1e-2)}")
        )
    every, saves = request.base.eval.every, request.base.checkpoint.every
    if saves is not None and saves != every:
        problems.append(Problem("checkpoint.every", "in a sweep checkpoints are taken at evaluations; set it to null"))
    if not problems:
        for point in [*corners(request.space), dict(request.baseline or {})]:
            problems += [each for each in _problems_at(request, point) if each not in problems]
    if problems:
        raise ConfigError(problems, where="sweep")


def _problems_at(request: _Request, point: Mapping[str, Any]) -> list[Problem]:
    try:
        found = check(request.base.with_(point), request.components)
    except ConfigError as error:
        found = list(error.problems)
    values = ", ".join(f"{key}={value}" for key, value in point.items() if any(each.path.startswith(key) for each in found))
    return [Problem(each.path, f"{each.message}{f' (at {values})' if values else ''}") for each in found]


def _run(request: _Request) -> SweepResult:
    connect()
    require_resources(request.base)
    directory = prepare_directory(request.base)
    _same_search(request, directory)
    store = open_store(request.base)
    desk = open_desk(None if store is None else store.uri, "" if store is None else store.experiment)
    records = None if store is None else DeskStore(desk)
    if store is not None:
        store.close_stale_runs(owner_is_alive)
    parent = open_record(records, request.base, directory, tags={"rayseg.kind": "sweep"})
    plan = TrialPlan(request.base.to_dict(), str(directory), desk, parent, owner_tags(), request.components)
    started = time.time()
    status: RunStatus = "FAILED"
    try:
        results = _search(request, plan, directory)
        summary = summarise(
            request.base,
            results,
            directory,
            metric=request.metric,
            mode=request.mode,
            searched=list(request.space),
            total_steps=plan_of(request.base, request.components).total_steps,
            seconds=time.time() - started,
        )
        summary.run_id = parent
        if records is not None and parent is not None:
            _record_summary(records, parent, summary)
        status = "FINISHED"
        return summary
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        if records is not None and parent is not None:
            _close_children(records, desk, status)
            records.finish(parent, status)
        ray.kill(desk)


def _search(request: _Request, plan: TrialPlan, directory: Path) -> list[ray.tune.Result]:
    """Run the trials, or go on with those that were interrupted."""
    trainable = ray.tune.with_resources(as_function(Trial(plan)), _trial_resources(request.base))
    where = directory / "tune"
    if ray.tune.Tuner.can_restore(str(where)):
        tuner = ray.tune.Tuner.restore(str(where), trainable=trainable, resume_unfinished=True, resume_errored=True)
        return list(tuner.fit())
    search = make_search(request.searcher, request.space, request.base.seed, request.metric, request.mode)
    points = make_points(request.searcher, request.space, request.num_samples, request.base.seed, request.baseline)
    tuner = ray.tune.Tuner(
        trainable,
        param_space=None if search is not None else {"point": ray.tune.grid_search(points)},
        tune_config=ray.tune.TuneConfig(
            metric=request.metric,
            mode=request.mode,
            num_samples=1 if search is None else request.num_samples + 1,
            search_alg=search,
            scheduler=make_scheduler(request.scheduler, request.base, request.grace_steps, request.components),
            max_concurrent_trials=_max_concurrent(request),
            reuse_actors=not _on_workers(request.base),
        ),
        run_config=ray.tune.RunConfig(
            name="tune",
            storage_path=str(directory),
            verbose=0,
            callbacks=[Watch(plan.desk, request.metric, request.mode, num_trials=_num_trials(request, points))],
            failure_config=ray.tune.FailureConfig(max_failures=request.base.scaling.max_failures),
            checkpoint_config=ray.tune.CheckpointConfig(num_to_keep=1),
        ),
    )
    return list(tuner.fit())


def _num_trials(request: _Request, points: list[dict[str, Any]]) -> int:
    return len(points) if points else request.num_samples + 1


def _on_workers(config: ExperimentConfig) -> bool:
    return worker_counts(config)[-1] > 1


def _trial_resources(config: ExperimentConfig) -> dict[str, float]:
    """A trial of one worker takes what the worker takes; a trial that starts workers takes next to nothing itself."""
    if _on_workers(config):
        return {"cpu": 0.01}
    return {kind.lower(): each for kind, each in worker_resources(config).items()}


def _max_concurrent(request: _Request) -> int:
    """As many trials as the cluster holds whole: more would wait for each other for ever."""
    have = ray.cluster_resources()
    workers = worker_counts(request.base)[-1]
    fitting = [int(have.get(kind, 0) // (each * workers)) for kind, each in worker_resources(request.base).items() if each > 0]
    return max(1, min([*fitting, request.max_concurrent or max(fitting, default=1)]))


def _same_search(request: _Request, directory: Path) -> None:
    """A sweep goes on only as what it was.

    Raises:
        ConfigError: the directory holds a sweep over another space.
    """
    path = directory / "sweep.json"
    asked = {
        "space": {key: str(dimension) for key, dimension in request.space.items()},
        "baseline": plain(dict(request.baseline or {}))[0],
        "num_samples": request.num_samples,
        "searcher": request.searcher,
        "scheduler": request.scheduler,
    }
    if path.is_file() and (before := json.loads(path.read_text(encoding="utf-8"))) != asked:
        changed = ", ".join(key for key in asked if asked[key] != before.get(key))
        message = f"{directory} holds a sweep with another {changed}; put it back to go on, or choose another name"
        raise ConfigError([Problem("tracking.name", message)], where="sweep")
    path.write_text(json.dumps(asked, indent=2), encoding="utf-8")


def _record_summary(records: DeskStore, parent: str, summary: SweepResult) -> None:
    """Leaderboard and best recipe on the sweep's own run."""
    for name in ("best.yaml", "table.parquet", "table.txt", "sweep.json"):
        records.log_artifact(parent, name, (summary.directory / name).read_bytes())
    scores = {key: value for key, value in summary.best_metrics.items() if key.startswith("val/")}
    records.log_batch(parent, [(summary.best_step, scores)])
    records.set_tags(parent, {"rayseg.best": summary.best_name, "rayseg.trials": str(len(summary.table))})


def _close_children(records: DeskStore, desk: Any, status: RunStatus) -> None:
    """No child run stays open: what a killed trial could not close is closed here."""
    for note in ray.get(desk.notes.remote("trial/")):
        if note["run_id"] is not None:
            records.finish(note["run_id"], "KILLED" if status != "FAILED" else "FAILED")
