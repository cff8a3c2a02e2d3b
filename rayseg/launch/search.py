"""A sweep's trials under Tune: started, or gone on with, and what they left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray.tune

import ray
from rayseg.build import worker_counts
from rayseg.config import ExperimentConfig
from rayseg.engine.plan import Plan
from rayseg.launch.cluster import can_grow, worker_resources
from rayseg.launch.groups import TRIAL_BUNDLE, GroupKeeper, give_back_groups, groups_of_this_job
from rayseg.launch.request import SweepRequest
from rayseg.launch.searchers import make_points, make_scheduler, make_search
from rayseg.launch.summary import EndedTrial
from rayseg.launch.trial import TrialPlan, as_function, fault_of, on_workers, trial_directory
from rayseg.launch.watch import Watch

__all__ = ["max_concurrent", "run_trials"]


def run_trials(request: SweepRequest, plan: TrialPlan, lengths: Plan) -> list[EndedTrial]:
    """Run the trials, or go on with those that were interrupted; nothing of them runs or holds resources afterwards."""
    before = groups_of_this_job()
    ray.get(plan.desk.post.remote("before", before))
    trainable = ray.tune.with_resources(as_function(plan), _trial_resources(request.base))
    where = str(Path(plan.directory) / "tune")
    if ray.tune.Tuner.can_restore(where):
        tuner = ray.tune.Tuner.restore(where, trainable=trainable, resume_unfinished=True)
    else:
        tuner = _new_tuner(request, plan, lengths, trainable)
    try:
        return [_ended(plan, result) for result in tuner.fit()]
    finally:
        _end_trials(plan)
        give_back_groups(groups_of_this_job() - before)


def _new_tuner(request: SweepRequest, plan: TrialPlan, lengths: Plan, trainable: Any) -> ray.tune.Tuner:
    base = request.base
    points = make_points(request.searcher, request.space, request.num_samples, base.seed, request.baseline)
    search = make_search(request.searcher, request.space, base.seed, request.metric, request.mode, points[0])
    num_trials = len(points) if search is None else request.num_samples + 1
    watch = Watch(plan.directory, request.metric, request.mode, num_trials)
    return ray.tune.Tuner(
        trainable,
        param_space=None if search is not None else {"point": ray.tune.grid_search(points)},
        tune_config=ray.tune.TuneConfig(
            metric=request.metric,
            mode=request.mode,
            num_samples=1 if search is None else num_trials,
            search_alg=search,
            scheduler=make_scheduler(request.scheduler, lengths, request.grace_steps),
            max_concurrent_trials=max_concurrent(request, num_trials),
            reuse_actors=True,  # also gives the workers of a trial that is ended early the time to end by themselves
            trial_dirname_creator=_trial_id,
        ),
        run_config=ray.tune.RunConfig(
            name="tune",
            storage_path=plan.directory,
            verbose=0,
            callbacks=[watch, GroupKeeper(plan.directory)] if on_workers(base) else [watch],
            failure_config=ray.tune.FailureConfig(max_failures=base.scaling.max_failures),
            checkpoint_config=ray.tune.CheckpointConfig(num_to_keep=1),
        ),
    )


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)


def _ended(plan: TrialPlan, result: ray.tune.Result) -> EndedTrial:
    """What became of a trial; one that never started has no config."""
    trial_id, point = Path(result.path).name, dict((result.config or {}).get("point", {}))
    directory = trial_directory(plan.directory, trial_id, point)
    fault = fault_of(directory)
    if fault is None and result.error is not None:
        fault = f"{type(result.error).__name__}: {result.error}"
    if fault is None and not (directory / "metrics.jsonl").is_file():
        fault = "it did not come to its first evaluation"
    return EndedTrial(trial_id, point, directory, fault)


def _end_trials(plan: TrialPlan) -> None:
    """Processes of trials, which would outlive a Ctrl-C in a session that goes on."""
    for note in ray.get(plan.desk.notes.remote("trial/")).values():
        ray.kill(note["actor"])


def _trial_resources(config: ExperimentConfig) -> ray.tune.PlacementGroupFactory:
    """A trial of one worker takes what the worker takes; a trial that starts workers takes next to nothing itself."""
    return ray.tune.PlacementGroupFactory([TRIAL_BUNDLE if on_workers(config) else worker_resources(config)])


def max_concurrent(request: SweepRequest, num_trials: int) -> int:
    """As many trials as the cluster holds whole: more would wait for each other for ever."""
    wanted = request.max_concurrent or num_trials
    if can_grow():
        return wanted
    have, workers = ray.cluster_resources(), worker_counts(request.base)[-1]
    fitting = [int(have.get(kind, 0) // (each * workers)) for kind, each in worker_resources(request.base).items() if each > 0]
    return max(1, min(wanted, *fitting))
