"""Whole runs of the tiny experiment that can be stopped, and what is compared of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rayseg.build import assemble
from rayseg.collective import barrier, is_main
from rayseg.config import ExperimentConfig
from rayseg.engine import Fit, LocalReporter, fit, read_checkpoint
from rayseg.keeping import KeepingPlace
from rayseg.testing import tiny_experiment

#: Everything with a memory: dropout, EMA, Adam, OHEM that keeps less and less, Dice, class weights, warm-up, odd intervals,
#: part epochs.
FULL: dict[str, Any] = {
    "model.dropout": 0.2,
    "losses.ce.class_weight": [1, 1, 1, 1, 1, 2, 3, 2, 3],
    "losses.dice": {"type": "dice", "weight": 2.0},
    "sampling": {"type": "ohem", "schedule": {"min_kept": {"from": 1.0, "to": 0.2, "end": 9}}},
    "schedule.warmup": {"length": 3},
    "train.ema": {"decay": 0.9},
    "train.clip_norm": 5.0,
    "train.steps": 11,
    "train.log_every": 4,
    "eval.every": 5,
    "checkpoint.every": 2,
}


class Stopped(Exception):
    """The run was stopped on purpose."""


@dataclass
class StopAfter:
    """A hook that stops the run after so many steps, before anything of that step is published."""

    steps: int

    def after_step(self, run: Fit, _: Mapping[str, Tensor]) -> None:
        if run.state.step == self.steps:
            raise Stopped


@dataclass
class Outcome:
    """What a run leaves: its state, what it logged (each step once, without speeds), and what it returned."""

    state: dict[str, Any]
    logged: dict[int, dict[str, float]]
    returned: dict[str, float]
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)


Log = dict[int, dict[str, float]]
OnLog = Callable[[int, Mapping[str, float]], None]


def full(**overrides: Any) -> ExperimentConfig:
    return tiny_experiment(**{**FULL, **overrides})


def into(logged: Log) -> OnLog:
    """Collect what is logged, without speeds."""

    def on_log(step: int, metrics: Mapping[str, float]) -> None:
        kept = {name: value for name, value in metrics.items() if not name.startswith("perf/")}
        logged.setdefault(step, {}).update(kept)

    return on_log


def start(
    config: ExperimentConfig,
    directory: Path,
    on_log: OnLog | None = None,
    hooks: Mapping[str, Any] | None = None,
    place: KeepingPlace | None = None,
) -> Fit:
    """A run that is ready to go on from whatever is in ``directory``; decoded samples are kept in a place."""
    run = assemble(config, LocalReporter(directory, on_log=on_log), place=place).fit
    run.state.hooks = {**run.state.hooks, **(hooks or {})}
    return run


def finish(config: ExperimentConfig, directory: Path, logged: Log | None = None, place: KeepingPlace | None = None) -> Outcome:
    """Run to the end, from the newest checkpoint if there is one; the same outcome on every rank."""
    logged = {} if logged is None else logged
    run = start(config, directory, into(logged), place=place)
    returned = fit(run)
    barrier()
    latest = run.reporter.latest()
    assert latest is not None
    history = LocalReporter(directory).history()
    return Outcome(read_checkpoint(latest), logged if is_main() else {}, returned, history)


def stop(config: ExperimentConfig, directory: Path, after: int, logged: Log | None = None) -> None:
    """Run, and stop after so many steps of the whole run."""
    try:
        fit(start(config, directory, into({} if logged is None else logged), {"stop": StopAfter(after)}))
    except Stopped:
        barrier()  # rank 0 has waited for its last checkpoint, which others would look for too early
        return
    raise AssertionError("the run was not stopped")


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Paths at which two trees of tensors and plain values are not the same bits."""
    if isinstance(theirs, Mapping):
        if not isinstance(ours, Mapping) or ours.keys() != theirs.keys():
            return [f"{path}: other keys"]
        return [each for key in theirs for each in differences(ours[key], theirs[key], f"{path}.{key}")]
    if isinstance(theirs, list | tuple):
        if len(ours) != len(theirs):
            return [f"{path}: other length"]
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [each for number, (a, b) in pairs for each in differences(a, b, f"{path}[{number}]")]
    same = torch.equal(ours, theirs) if isinstance(theirs, Tensor) else ours == theirs
    return [] if same else [f"{path}: {ours} != {theirs}"]


def compare(ours: Outcome, theirs: Outcome) -> list[str]:
    """Every difference between two outcomes, to the bit."""
    return [
        *differences(ours.state, theirs.state, "state"),
        *differences(ours.logged, theirs.logged, "logged"),
        *differences(ours.returned, theirs.returned, "returned"),
        *differences(ours.history, theirs.history, "history"),
    ]
