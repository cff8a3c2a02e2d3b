"""One run: in this process, or by a group of Ray Train workers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rayseg.build import Components, check, keeping, plan_of, with_weight_files
from rayseg.config import ExperimentConfig, read_config_file
from rayseg.engine import LocalReporter
from rayseg.errors import ConfigError, Problem
from rayseg.imports import importing
from rayseg.launch.deciding import decided
from rayseg.launch.interrupt import calm_interrupt
from rayseg.launch.lineage import read_schedule
from rayseg.launch.parts import Part, info_of, keep_schedule, left_of, parts_of, steps_done
from rayseg.launch.records import closed_if_raised, closing, open_record, open_store, own_trackers, run_tracker
from rayseg.launch.run import TrainResult, named, prepare_directory, run_worker, stopped_by
from rayseg.launch.telling import Telling, telling

__all__ = ["train"]


def train(
    config: ExperimentConfig | str | Path, *, components: Components | None = None, schedule: str | Path | None = None
) -> TrainResult:
    """Train one experiment.

    With ``scaling.workers: 0`` in this process; otherwise by that many Ray Train workers on the cluster that is running, or on
    a local one. A run whose name exists in its storage goes on from its last checkpoint.

    Args:
        config: an experiment, or a config file.
        components: name -> callable, for what the workers could not import; the config names them as ``type``.
        schedule: a file of recipes by step, such as the ``schedule.yaml`` of a population's winner: each replaces keys of the
            config from its step on.

    Raises:
        ConfigError: everything that is wrong with the config, before any worker starts.
        RaysegError: what went wrong while training.

    Example:
        >>> result = train(ExperimentConfig().with_({"train.steps": 20}))  # doctest: +SKIP
        >>> result.metrics["val/mIoU"], result.checkpoint  # doctest: +SKIP
    """
    config = ExperimentConfig.from_dict(read_config_file(config)) if isinstance(config, (str, Path)) else config
    own_name, config = config.tracking.name is not None, named(with_weight_files(config))
    point = {} if schedule is None else {"schedule": read_schedule(schedule)}
    parts = parts_of(point, config, 0)
    if problems := check(parts[-1].config, components):
        raise ConfigError(problems)
    if problems := _schedule_problems(parts, components):
        raise ConfigError(problems, where=str(schedule))
    directory = Path(config.tracking.storage).expanduser() / str(config.tracking.name)
    with calm_interrupt(directory, named=own_name):
        if config.scaling.workers == 0:
            parts = parts_of(point, decided(config, components or {}), 0)
            with telling(parts[-1].config, components or {}) as told:
                return _train_here(parts, components or {}, told)
        with importing():
            from rayseg.launch.ray_train import train_on_ray  # noqa: PLC0415  ray takes seconds to import

        return train_on_ray(config, point, components or {})


def _schedule_problems(parts: Sequence[Part], components: Components | None) -> list[Problem]:
    """Recipes that are wrong, or that begin where no checkpoint is."""
    if len(parts) == 1:
        return []
    problems = [each for part in parts[:-1] for each in check(part.config, components)]
    plan = plan_of(parts[-1].config, components)
    for until in (part.until for part in parts[:-1] if part.until is not None):
        if not plan.saves(until) or until >= plan.total_steps:
            every = plan.checkpoint_every or plan.eval_every
            text = f"a recipe begins at step {until}, but checkpoints are taken every {every} of {plan.total_steps} steps"
            problems.append(Problem("schedule", f"{text}; set checkpoint.every, or eval.every, and train.steps to fit"))
    return problems


def _train_here(parts: Sequence[Part], components: Components, told: Telling) -> TrainResult:
    config = parts[-1].config
    directory = prepare_directory(config)
    keep_schedule(parts, directory)
    told.doing("opening the store")
    store, own = open_store(config), own_trackers(config, directory)
    with closed_if_raised(own):
        run_id = open_record(store, config, directory)
    if store is not None and run_id is not None:
        told.say(store.link(run_id, config.tracking.storage))
    told.doing("opening the data, making the network")
    tracker = run_tracker(store, run_id, [told, *own])
    reporter = LocalReporter(
        directory,
        keep=config.checkpoint.keep,
        best=config.checkpoint.best,
        mode=config.checkpoint.mode,
        resume_state=config.checkpoint.optimizer,
        on_log=tracker.log_metrics,
    )
    with closing(tracker.finish), keeping(config) as place:
        metrics: dict[str, float] = {}
        for part in left_of(parts, steps_done(directory)):
            info = info_of(part, directory, run_id, components, other_recipe=len(parts) > 1, place=place)
            metrics = run_worker(info, reporter, tracker)
    best, latest = reporter.best(), reporter.latest()
    return TrainResult(config, metrics, reporter.history(), best, latest, run_id, directory, stopped_by(directory))
