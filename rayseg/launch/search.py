"""A sweep's trials under Tune: started, or gone on with, and what they left."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.tune

import ray
from rayseg.build import worker_counts
from rayseg.config import ExperimentConfig
from rayseg.engine.checkpoint import newest_whole
from rayseg.engine.plan import Plan
from rayseg.launch.breeding import Breeder
from rayseg.launch.breeding_request import is_population, population_rules
from rayseg.launch.budget import read_spent
from rayseg.launch.cluster import can_grow, fitting_workers, worker_resources
from rayseg.launch.ending import make_scheduler
from rayseg.launch.groups import TRIAL_BUNDLE, GroupKeeper, give_back_groups, groups_of_this_job
from rayseg.launch.lineage import last_of_runs
from rayseg.launch.meter import Meter, limited
from rayseg.launch.population import Population
from rayseg.launch.request import SweepRequest
from rayseg.launch.searchers import AskedSearch, Point, make_asker, make_points, tell_ended
from rayseg.launch.summary import EndedTrial
from rayseg.launch.trial import TrialPlan, as_function, fault_of, on_workers, trial_directory
from rayseg.launch.watch import Watch, ended_row
from rayseg.launch.whereabouts import working_in
from rayseg.report.live import LiveRow
from rayseg.space import KnownTrial, OptunaAsker, flat

__all__ = ["max_concurrent", "run_points", "run_trials"]


def run_trials(request: SweepRequest, plan: TrialPlan, lengths: Plan, known: Sequence[KnownTrial] = ()) -> list[EndedTrial]:
    """Run the trials, or go on with those that were interrupted; nothing of them runs or holds resources afterwards.

    Trials that were asked for later are a part of their own, after those before.
    """
    directory, first = Path(plan.directory), 0
    ended: list[EndedTrial] = []
    with limited(directory, request.budget, _devices(request.base)):
        for until in request.parts:
            ended += _run_part(request, plan, lengths, known, ended, (first, until))
            first = until
            if read_spent(directory).out:
                break
    spent = read_spent(directory)
    if spent.out:
        ended = [_unfinished(trial) if trial.trial_id in spent.unfinished else trial for trial in ended]
        ended = [trial for trial in ended if trial.directory.is_dir()]
    return last_of_runs(ended) if is_population(request) else ended


def _run_part(
    request: SweepRequest,
    plan: TrialPlan,
    lengths: Plan,
    known: Sequence[KnownTrial],
    before: Sequence[EndedTrial],
    part: tuple[int, int],
) -> list[EndedTrial]:
    """Trials from the first number up to the second; the baseline comes before the first of all."""
    first, until = part
    name = f"tune-{first}" if first else "tune"

    def new(trainable: Any) -> ray.tune.Tuner:
        base, (metrics, modes) = request.base, zip(*request.objectives, strict=True)
        points = make_points(request.searcher, request.space, until, base.seed, request.baseline)[first and first + 1 :]
        asker = make_asker(request.searcher, request.space, base.seed + first, modes, known)
        if isinstance(asker, OptunaAsker):
            for each in before:
                tell_ended(asker, request.space, each, metrics, lengths.total_steps)
        search = asker and AskedSearch(
            points[0] if points else None, asker, metrics, request.mode, lengths.total_steps, plan.directory
        )
        num_trials = segments = len(points) if search is None else until - first + (not first)
        if is_population(request):
            rules = population_rules(request, lengths)
            population = Population(rules, flat(request.space), points[1:])
            search = Breeder(population, points[0], plan.directory, "tune", request.metric, grouped=on_workers(base))
            segments = 1 + until * len(rules.ends)
        config = ray.tune.TuneConfig(
            num_samples=1 if search is None else segments,
            search_alg=search,
            scheduler=make_scheduler(request.scheduler, lengths, request.grace_steps, plan.directory),
            max_concurrent_trials=max_concurrent(request, num_trials),
            **_how(request),
        )
        rows = [ended_row(each, request.metric, lengths.total_steps) for each in before]
        return _tuner(trainable, plan, request, name, config, points if search is None else None, num_trials, rows)

    return _run(request, plan, name, new)


def run_points(request: SweepRequest, plan: TrialPlan, points: Sequence[Point], name: str) -> list[EndedTrial]:
    """Run given points to their ends, or go on with those that were interrupted or whose process died.

    Args:
        request: of the sweep that they belong to.
        plan: of these trials.
        points: overrides of the base.
        name: of Tune's directory.
    """

    def new(trainable: Any) -> ray.tune.Tuner:
        at_a_time = max_concurrent(request, len(points))
        config = ray.tune.TuneConfig(num_samples=1, max_concurrent_trials=at_a_time, **_how(request))
        return _tuner(trainable, plan, request, name, config, points, len(points))

    return _run(request, plan, name, new, resume_errored=True)


def _run(
    request: SweepRequest, plan: TrialPlan, name: str, new: Callable[[Any], ray.tune.Tuner], *, resume_errored: bool = False
) -> list[EndedTrial]:
    before = groups_of_this_job()
    ray.get(plan.desk.post.remote("before", before))
    trainable = ray.tune.with_resources(as_function(plan), _trial_resources(request.base))
    where = str(Path(plan.directory) / name)
    with working_in(plan.directory):
        if ray.tune.Tuner.can_restore(where):
            tuner = ray.tune.Tuner.restore(where, trainable=trainable, resume_unfinished=True, resume_errored=resume_errored)
        else:
            tuner = new(trainable)
        try:
            return [_ended(plan, result) for result in tuner.fit()]
        finally:
            _end_trials(plan)
            give_back_groups(groups_of_this_job() - before)


def _how(request: SweepRequest) -> dict[str, Any]:
    """Of every search; reused processes also give the workers of a trial that is ended early the time to end by themselves."""
    return {"metric": request.metric, "mode": request.mode, "reuse_actors": True, "trial_dirname_creator": _trial_id}


def _tuner(
    trainable: Any,
    plan: TrialPlan,
    request: SweepRequest,
    name: str,
    config: ray.tune.TuneConfig,
    points: Sequence[Point] | None,
    num_trials: int,
    before: Sequence[LiveRow] = (),
) -> ray.tune.Tuner:
    num_all = num_trials + len(before)
    watch, meter = Watch(plan.directory, request.metric, num_all, plan.total_steps, before), Meter(plan.directory)
    return ray.tune.Tuner(
        trainable,
        param_space=None if points is None else {"point": ray.tune.grid_search(list(points))},
        tune_config=config,
        run_config=ray.tune.RunConfig(
            name=name,
            storage_path=plan.directory,
            verbose=0,
            callbacks=[watch, meter, *([GroupKeeper(plan.directory)] if on_workers(request.base) else [])],
            failure_config=ray.tune.FailureConfig(max_failures=request.base.scaling.max_failures),
            checkpoint_config=ray.tune.CheckpointConfig(
                num_to_keep=request.base.checkpoint.keep,
                checkpoint_score_attribute=request.metric,
                checkpoint_score_order=request.mode,
            ),
        ),
    )


def _unfinished(trial: EndedTrial) -> EndedTrial:
    """One that was at work when the budget was spent: no fault of its own."""
    return replace(trial, fault=None, unfinished=True)


def _devices(config: ExperimentConfig) -> float:
    """GPUs of a trial, or its workers where they have none."""
    each = worker_resources(config)
    return worker_counts(config)[-1] * each.get("GPU", 1.0)


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)


def _ended(plan: TrialPlan, result: ray.tune.Result) -> EndedTrial:
    """What became of a trial."""
    trial_id, point = Path(result.path).name, _point(result)
    directory = trial_directory(plan.directory, trial_id, point)
    fault = fault_of(directory)
    if fault is None and result.error is not None:
        fault = f"{type(result.error).__name__}: {result.error}"
    if fault is None and not (directory / "metrics.jsonl").is_file():
        fault = "it did not come to its first evaluation"
    checkpoint = newest_whole(directory if result.checkpoint is None else Path(result.path))
    return EndedTrial(trial_id, point, directory, fault, checkpoint)


def _point(result: ray.tune.Result) -> dict[str, Any]:
    """What the trial was told. Tune has it from the trial's reports, of which there may be none; one never started has none."""
    written = Path(result.path) / "params.json"
    told = json.loads(written.read_text(encoding="utf-8")) if not result.config and written.is_file() else result.config
    return dict((told or {}).get("point", {}))


def _end_trials(plan: TrialPlan) -> None:
    """Processes of trials, which would outlive a Ctrl-C in a session that goes on."""
    for note in ray.get(plan.desk.notes.remote("trial/")).values():
        ray.kill(ray.cloudpickle.loads(note["actor"]))


def _trial_resources(config: ExperimentConfig) -> ray.tune.PlacementGroupFactory:
    """A trial of one worker takes what the worker takes; a trial that starts workers takes next to nothing itself."""
    return ray.tune.PlacementGroupFactory([TRIAL_BUNDLE if on_workers(config) else worker_resources(config)])


def max_concurrent(request: SweepRequest, num_trials: int) -> int:
    """As many trials as the cluster holds whole: more would wait for each other for ever."""
    wanted = request.max_concurrent or num_trials
    if can_grow():
        return wanted
    fitting = fitting_workers(ray.cluster_resources(), worker_resources(request.base)) // worker_counts(request.base)[-1]
    return max(1, min(wanted, fitting))
