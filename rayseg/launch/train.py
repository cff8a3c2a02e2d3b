"""One run: in this process, or by a group of Ray Train workers."""

from __future__ import annotations

import sys
from pathlib import Path

from rayseg.build import Components, check, with_weight_files
from rayseg.config import ExperimentConfig, read_config_file
from rayseg.engine import LocalReporter
from rayseg.errors import ConfigError
from rayseg.launch.deciding import decided
from rayseg.launch.records import closed_if_raised, closing, open_record, open_store, own_trackers, run_tracker
from rayseg.launch.run import RunInfo, TrainResult, named, prepare_directory, run_worker, stopped_by

__all__ = ["train"]


def train(config: ExperimentConfig | str | Path, *, components: Components | None = None) -> TrainResult:
    """Train one experiment.

    With ``scaling.workers: 0`` in this process; otherwise by that many Ray Train workers on the cluster that is running, or on
    a local one. A run whose name exists in its storage goes on from its last checkpoint.

    Args:
        config: an experiment, or a config file.
        components: name -> callable, for what the workers could not import; the config names them as ``type``.

    Raises:
        ConfigError: everything that is wrong with the config, before any worker starts.
        RaysegError: what went wrong while training.

    Example:
        >>> result = train(ExperimentConfig().with_({"train.steps": 20}))  # doctest: +SKIP
        >>> result.metrics["val/mIoU"], result.checkpoint  # doctest: +SKIP
    """
    config = ExperimentConfig.from_dict(read_config_file(config)) if isinstance(config, (str, Path)) else config
    config = named(with_weight_files(config))
    if problems := check(config, components):
        raise ConfigError(problems)
    if config.scaling.workers == 0:
        return _train_here(decided(config, components or {}), components or {})
    from rayseg.launch.ray_train import train_on_ray  # noqa: PLC0415  ray takes seconds to import

    return train_on_ray(config, components or {})


def _train_here(config: ExperimentConfig, components: Components) -> TrainResult:
    directory = prepare_directory(config)
    store, own = open_store(config), own_trackers(config, directory)
    with closed_if_raised(own):
        run_id = open_record(store, config, directory)
    stream = sys.stdout if config.tracking.text else None
    tracker = run_tracker(store, run_id, total_steps=config.train.steps, stream=stream, own=own)
    reporter = LocalReporter(
        directory,
        keep=config.checkpoint.keep,
        best=config.checkpoint.best,
        mode=config.checkpoint.mode,
        resume_state=config.checkpoint.optimizer,
        on_log=tracker.log_metrics,
    )
    with closing(tracker.finish):
        info = RunInfo(config.to_dict(), str(directory), run_id, components)
        metrics = run_worker(info, reporter, tracker)
    best, latest = reporter.best(), reporter.latest()
    return TrainResult(config, metrics, reporter.history(), best, latest, run_id, directory, stopped_by(directory))
