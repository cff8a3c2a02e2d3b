"""What a run is called, where it lives, and what one worker of it does; nothing here needs Ray."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rayseg.build import Components, Experiment, Start, applied_values, assemble, check_applied, torch_settings
from rayseg.collective import is_main
from rayseg.config import ExperimentConfig, flatten, plain, read_config_file, to_yaml
from rayseg.data import KeepingPlace, LabelCounts
from rayseg.engine import Reporter, borrowed_generators, fit, set_generators
from rayseg.engine.reporter import StopRun
from rayseg.errors import ConfigError, Problem
from rayseg.launch.eager import told_eager
from rayseg.launch.pictures import Pictures
from rayseg.launch.spans import SPANS, recorded_span
from rayseg.tracking import Tracker

__all__ = ["RunInfo", "TrainResult", "check_same_run", "named", "prepare_directory", "run_worker", "stopped_by"]

#: Leaves that may change between the parts of one run: they do not change what is computed.
_FREE = (
    "scaling.",
    "tracking.",
    "train.micro_batch",
    "train.threads",
    "data.num_workers",
    "data.cache",
    "data.palette",
    "checkpoint.keep",
    "checkpoint.optimizer",
)


#: Of a tag that says more than a name.
_TAG_CHARACTERS = 500


class Until:
    """A reporter after whose report of a step the run ends on every rank.

    Args:
        reporter: does the work.
        step: the first at which to end.
    """

    def __init__(self, reporter: Reporter, step: int) -> None:
        self._reporter = reporter
        self._step = step
        self.log, self.staging, self.latest = reporter.log, reporter.staging, reporter.latest
        for each in ("stored", "pending"):
            if hasattr(reporter, each):
                setattr(self, each, getattr(reporter, each))

    def report(self, step: int, metrics: Mapping[str, float], checkpoint: Path | None) -> None:
        """Report, then end where it is time.

        Raises:
            StopRun: on every rank.
        """
        self._reporter.report(step, metrics, checkpoint)
        if step >= self._step:
            raise StopRun


@dataclass
class TrainResult:
    """What a run brought home.

    Args:
        config: as it was run, with its name.
        metrics: of the last evaluation; scores are fractions 0-1.
        history: ``(step, metrics)`` of every evaluation.
        checkpoint: directory of the best checkpoint, or None.
        last_checkpoint: directory of the newest checkpoint, or None.
        run_id: MLflow run, or None.
        directory: everything that the run wrote.
        stopped: why the run ended before its last step, or None.
    """

    config: ExperimentConfig
    metrics: dict[str, float]
    history: list[tuple[int, dict[str, float]]]
    checkpoint: Path | None
    last_checkpoint: Path | None
    run_id: str | None
    directory: Path
    stopped: str | None = None


@dataclass(frozen=True)
class RunInfo:
    """What every worker of a run must know; can be pickled.

    Args:
        config: plain tree of the config.
        directory: of the run.
        run_id: MLflow run, or None.
        components: name -> callable given by value.
        sampled: dotted key -> value that a search chose; read back from what was built.
        counts: labels of the training set, where the driver counted them.
        other_recipe: the checkpoint to go on from may be of another recipe.
        until: the step at which this part of the run ends, at an evaluation; None: the run's last.
        place: where decoded samples are kept, at first on the driver's machine; None: nowhere.
    """

    config: Mapping[str, Any]
    directory: str
    run_id: str | None = None
    components: Components = field(default_factory=dict)
    sampled: Mapping[str, Any] = field(default_factory=dict)
    counts: LabelCounts | None = None
    other_recipe: bool = False
    until: int | None = None
    place: KeepingPlace | None = None

    def experiment_config(self) -> ExperimentConfig:
        """The config, validated again."""
        return ExperimentConfig.from_dict(dict(self.config))


def named(config: ExperimentConfig, prefix: str = "run") -> ExperimentConfig:
    """The config with a run name: its own, or one made from the time."""
    if config.tracking.name is not None:
        return config
    name = f"{prefix}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    return config.with_({"tracking.name": name})


def prepare_directory(config: ExperimentConfig, *, search: bool = False) -> Path:
    """Directory ``storage/name`` of a run, made and tried.

    Args:
        config: of the run.
        search: whether it is a search; the two write into the same files.

    Raises:
        ConfigError: the storage cannot be written, or holds a different run of that name.
    """
    assert config.tracking.name is not None
    directory = (Path(config.tracking.storage).expanduser() / config.tracking.name).resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = f"cannot write to {directory} ({error.strerror or error}); choose a directory that can be written"
        raise ConfigError([Problem("tracking.storage", message)]) from error
    if (not search and (directory / "sweep.json").is_file()) or (search and (directory / "metrics.jsonl").is_file()):
        held = f"{directory} holds a {'single run' if search else 'search'}; choose another name"
        raise ConfigError([Problem("tracking.name", held)])
    check_same_run(config, directory)
    text = to_yaml(config.to_dict())
    path = directory / "config.yaml"
    staged = directory / ".config.yaml"
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
    return directory


def check_same_run(config: ExperimentConfig, directory: Path) -> None:
    """A run goes on only as what it was.

    Raises:
        ConfigError: the directory holds a run whose config differs in what is computed.
    """
    path = directory / "config.yaml"
    if not path.is_file():
        return
    held = ExperimentConfig.from_dict(read_config_file(path))
    before, after = flatten(held), flatten(config)
    problems = [
        Problem(key, f"was {before.get(key)!r}, is {after.get(key)!r}; put it back to go on, or choose another tracking.name")
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key) and not key.startswith(_FREE)
    ]
    if problems := problems or _other_orders(held, config):
        raise ConfigError(problems, where=f"run {config.tracking.name!r}, which {directory} holds with another config")


def _other_orders(before: ExperimentConfig, after: ExperimentConfig) -> list[Problem]:
    """Named parts that follow each other, and do so otherwise than before: the same leaves are then another run."""
    remedy = "put it back to go on, or choose another tracking.name"
    return [
        Problem(path, f"were in the order {', '.join(old)}, are in {', '.join(new)}; {remedy}")
        for (path, old), new in zip(_orders(before).items(), _orders(after).values(), strict=True)
        if old != new
    ]


def _orders(config: ExperimentConfig) -> dict[str, list[str]]:
    momentum = config.schedule.momentum
    return {
        "data.transforms": list(config.data.transforms),
        "hooks": list(config.hooks),
        "init.rename": [] if config.init is None else list(config.init.rename),
        "optim.groups": list(config.optim.groups),
        "schedule.phases": list(config.schedule.phases),
        "schedule.momentum.phases": [] if momentum is None else list(momentum.phases),
    }


def run_worker(info: RunInfo, reporter: Reporter, tracker: Tracker) -> dict[str, float]:
    """Train as one worker of a run: assemble, prove the sampled values, fit; a collective.

    What parts draw when they are made is a function of the seed, whatever the process has done before.

    Args:
        info: the run.
        reporter: back end of this process.
        tracker: where rank 0 records; a NullTracker elsewhere.

    Returns:
        Metrics of the last evaluation.
    """
    config = info.experiment_config()
    with torch_settings(config), borrowed_generators(), contextlib.closing(_Flushing(tracker)):
        set_generators(config.seed)
        reporter = reporter if info.until is None else Until(reporter, info.until)
        experiment = assemble(config, reporter, info.components, known_counts=info.counts, place=info.place)
        check_applied(experiment, info.sampled)
        experiment.fit.other_recipe = info.other_recipe
        if info.sampled and is_main():
            _record_applied(experiment, info, tracker)
        if experiment.start is not None and is_main():
            _record_start(experiment.start, info, tracker)
        hooks = {**experiment.fit.state.hooks, "rayseg.pictures": Pictures(experiment, tracker)}
        experiment.fit.state.hooks = hooks
        try:
            with _watched(Path(info.directory), tracker) if is_main() else contextlib.nullcontext():
                metrics = fit(experiment.fit)
        except StopRun:
            metrics = dict(experiment.fit.state.metrics)
        if experiment.fit.state.stopped is not None and is_main():
            _record_stop(experiment.fit.state.stopped, info, tracker)
        return metrics


@contextlib.contextmanager
def _watched(directory: Path, tracker: Tracker) -> Iterator[None]:
    """Around the loop of rank 0."""
    with recorded_span(directory / SPANS), told_eager(directory, tracker):
        yield


def _record_applied(experiment: Experiment, info: RunInfo, tracker: Tracker) -> None:
    """Keep what was read back as ``applied.json``; a sampled section was compared leaf by leaf and is kept as it was."""
    whole = {key: value for key, value in info.sampled.items() if value is None or isinstance(value, Mapping)}
    read = applied_values(experiment, [key for key in info.sampled if key not in whole])
    text = json.dumps({key: plain({**whole, **read}[key])[0] for key in info.sampled}, indent=2)
    (Path(info.directory) / "applied.json").write_text(text, encoding="utf-8")
    tracker.log_artifact("applied.json", text.encode())


def _record_stop(reason: str, info: RunInfo, tracker: Tracker) -> None:
    """Say that a hook has ended the run, and why: such a run is whole and does not go on."""
    (Path(info.directory) / "stopped.txt").write_text(f"{reason}\n", encoding="utf-8")
    tracker.set_tags({"rayseg.stopped": reason})


def stopped_by(directory: Path) -> str | None:
    """Why a hook ended the run in a directory before its last step; None where none did."""
    path = directory / "stopped.txt"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def _record_start(start: Start, info: RunInfo, tracker: Tracker) -> None:
    """Say in one line which weights a run starts from, and keep every name as ``init.json``."""
    if start.report is None:
        tracker.set_tags({"rayseg.goes_on": f"from its own checkpoint, so {start.checkpoint} is not read"})
        return
    text = json.dumps(start.report.to_dict(), indent=2)
    (Path(info.directory) / "init.json").write_text(text, encoding="utf-8")
    tracker.log_artifact("init.json", text.encode())
    tracker.set_tags({"rayseg.init": str(start.report)[:_TAG_CHARACTERS]})


class _Flushing:
    """Stores what waits when the loop ends, however it ends."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def close(self) -> None:
        self._tracker.flush()
