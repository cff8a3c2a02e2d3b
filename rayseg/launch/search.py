"""A sweep's trials under Tune: started, or gone on with, and what they left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.tune

import ray
from rayseg.build import worker_counts
from rayseg.config import ExperimentConfig
from rayseg.engine.plan import Plan
from rayseg.launch.breeding import Breeder
from rayseg.launch.breeding_request import is_population, population_rules
from rayseg.launch.budget import read_spent
from rayseg.launch.cluster import can_grow, fitting_workers, worker_resources
from rayseg.launch.ending import make_scheduler
from rayseg.launch.groups import TRIAL_BUNDLE, GroupKeeper, give_back_groups, groups_of_this_job
from rayseg.launch.ledger import Ledger
from rayseg.launch.lineage import last_of_runs
from rayseg.launch.meter import Meter, limited
from rayseg.launch.parts import newest_of
from rayseg.launch.population import Population
from rayseg.launch.processes import trial_function
from rayseg.launch.request import SweepRequest
from rayseg.launch.searchers import AskedSearch, Point, make_asker, make_points, tell_ended
from rayseg.launch.summary import EndedTrial
from rayseg.launch.trial import TrialPlan, fault_of, on_workers, trial_directory
from rayseg.launch.watch import Watch, ended_row
from rayseg.report.live import LiveRow
from rayseg.space import KnownTrial, Listed, OptunaAsker, flat

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
    if read_spent(directory).out:
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
    numbers = range(first and first + 1, until + 1)
    ledger = Ledger(plan.directory, f"tune-{first}" if first else "tune")
    base, (metrics, modes) = request.base, zip(*request.objectives, strict=True)
    points = make_points(request.searcher, request.space, until, base.seed, request.baseline)[numbers.start :]
    search: AskedSearch | Breeder
    if is_population(request):
        rules = population_rules(request, lengths)
        population, segments = Population(rules, flat(request.space), points[1:]), 1 + until * len(rules.ends)
        search = Breeder(population, points[0], ledger, request.metric, grouped=on_workers(base))
    else:
        asker = make_asker(request.searcher, request.space, base.seed + first, modes, known)
        if isinstance(asker, OptunaAsker):
            for each in before:
                tell_ended(asker, request.space, each, metrics, lengths.total_steps)
        numbers = range(numbers.start, numbers.start + len(points)) if asker is None else numbers  # a grid has its own
        then, segments = asker or Listed(points[1:]), len(numbers)
        search = AskedSearch(points[0] if points else None, then, metrics, request.mode, lengths.total_steps, ledger, numbers)
    search.go_on()
    config = ray.tune.TuneConfig(
        num_samples=segments,
        search_alg=search,
        scheduler=make_scheduler(request.scheduler, lengths, request.grace_steps, plan.directory),
        max_concurrent_trials=max_concurrent(request, len(numbers)),
        **_how(request),
    )
    return _run(request, plan, ledger, search, config, len(numbers), before)


def run_points(request: SweepRequest, plan: TrialPlan, points: Sequence[Point], name: str) -> list[EndedTrial]:
    """Run given points to their ends, or go on with those that were interrupted or whose process died.

    Args:
        request: of the sweep that they belong to.
        plan: of these trials.
        points: overrides of the base.
        name: of Tune's directory.
    """
    ledger, numbers = Ledger(plan.directory, name), range(len(points))
    search = AskedSearch(None, Listed(points), (request.metric,), request.mode, plan.total_steps, ledger, numbers)
    search.go_on(failed_too=True)
    at_a_time = max_concurrent(request, len(points))
    config = ray.tune.TuneConfig(num_samples=len(points), search_alg=search, max_concurrent_trials=at_a_time, **_how(request))
    return _run(request, plan, ledger, search, config, len(points))


def _run(
    request: SweepRequest,
    plan: TrialPlan,
    ledger: Ledger,
    search: AskedSearch | Breeder,
    config: ray.tune.TuneConfig,
    num_trials: int,
    before: Sequence[EndedTrial] = (),
) -> list[EndedTrial]:
    """Run what has no end yet."""
    groups = groups_of_this_job()
    ray.get(plan.desk.post.remote("before", groups))
    if not search.over:
        trainable = ray.tune.with_resources(trial_function(plan), _trial_resources(request.base))
        have_ended = [*before, *(each for each in _trials(ledger) if not each.unfinished and "segment" not in each.point)]
        rows = [ended_row(each, request.metric, plan.total_steps) for each in have_ended]
        tuner = _tuner(trainable, plan, request, ledger.name, config, num_trials + len(before), rows)
        try:
            tuner.fit()
        finally:
            _end_trials(plan)
            give_back_groups(groups_of_this_job() - groups)
    out = read_spent(ledger.directory).out
    return [each if out or not each.unfinished else _without_end(each) for each in _trials(ledger)]


def _how(request: SweepRequest) -> dict[str, Any]:
    """Of every search; reused processes also give the workers of a trial that is ended early the time to end by themselves."""
    return {"metric": request.metric, "mode": request.mode, "reuse_actors": True, "trial_dirname_creator": _directory_name}


def _tuner(
    trainable: Any,
    plan: TrialPlan,
    request: SweepRequest,
    name: str,
    config: ray.tune.TuneConfig,
    num_trials: int,
    before: Sequence[LiveRow],
) -> ray.tune.Tuner:
    watch, meter = Watch(plan.directory, request.metric, num_trials, plan.total_steps, before), Meter(plan.directory)
    return ray.tune.Tuner(
        trainable,
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


def _devices(config: ExperimentConfig) -> float:
    """GPUs of a trial, or its workers where they have none."""
    each = worker_resources(config)
    return worker_counts(config)[-1] * each.get("GPU", 1.0)


def _directory_name(trial: Any) -> str:
    """Of a trial in Tune's directory: its name, since its id is another one when it goes on."""
    return str(trial.config["point"]["trial"])


def _trials(ledger: Ledger) -> list[EndedTrial]:
    """What became of every trial that a part has, those of earlier calls among them."""
    return [_ended(ledger, name, point) for name, point in ledger.kept()["_given"].items()]


def _ended(ledger: Ledger, name: str, point: dict[str, Any]) -> EndedTrial:
    """What became of a trial."""
    directory = trial_directory(ledger.directory, point)
    fault, unfinished = fault_of(directory) or ledger.death(name), not ledger.has_ended(name)
    if fault is None and not unfinished and not (directory / "metrics.jsonl").is_file():
        fault = "it did not come to its first evaluation"
    checkpoint = newest_of(ledger.place(name), directory)
    return EndedTrial(name, point, directory, fault, checkpoint, unfinished=unfinished)


def _without_end(trial: EndedTrial) -> EndedTrial:
    """One that Tune did not bring to an end, though it ran to its own."""
    return replace(trial, unfinished=False, fault=trial.fault or "Tune left it without an end; the same call goes on with it")


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
