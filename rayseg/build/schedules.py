"""Schedules of a run as objects: types or phases, held through epochs if asked, under a warm-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from rayseg.build.objects import num_steps
from rayseg.build.optimizers import idle_optimizer
from rayseg.build.parts import Parts
from rayseg.build.resolve import Problems, Resolved, caught, takes
from rayseg.build.schedule_parts import counted, kind_of, schedule_specs
from rayseg.config import ExperimentConfig, Length, MomentumConfig, ScheduleConfig
from rayseg.engine import Schedule
from rayseg.optim import (
    Plateau,
    Tables,
    constant,
    faults_of,
    hold_epochs,
    in_epochs,
    join,
    table_of_function,
    table_of_scheduler,
    with_warmup,
)

__all__ = ["Schedules", "make_schedules", "schedule_call"]

_RATE, _MOMENTUM = "schedule", "schedule.momentum"


class Schedules(NamedTuple):
    """Multipliers of rate and momentum as functions of the step; None where a fault was found, or none is asked for."""

    rate: Schedule | None
    momentum: Schedule | None


@dataclass(frozen=True)
class _Run:
    """What a schedule must know of the run that it is for."""

    config: ExperimentConfig
    parts: Parts
    num_images: int
    problems: Problems
    strict: bool

    @property
    def total_steps(self) -> int:
        return self.steps(self.config.train.length)

    @property
    def epochs(self) -> dict[str, int]:
        return {"num_images": self.num_images, "batch_size": self.config.train.batch_size}

    def steps(self, length: Length, _path: str = "") -> int:
        return num_steps(length, self.config, self.num_images)

    def late(self, path: str, message: str) -> None:
        """Note what has no meaning in a run of this length, if that is asked for."""
        if self.strict:
            self.problems.add(path, message)


def make_schedules(
    config: ExperimentConfig, parts: Parts, num_images: int, problems: Problems, *, strict: bool = False
) -> Schedules:
    """Schedules of learning rate and momentum.

    Args:
        config: the experiment.
        parts: resolved.
        num_images: in the training set.
        problems: every fault is added here.
        strict: also note what has no meaning in a run of this length: a warm-up that does not end, a milestone after the end.
    """
    run = _Run(config, parts, num_images, problems, strict)
    tables = None if parts.schedule is None else _base(run, config.schedule, _RATE, parts.schedule)
    rate = None if tables is None else _finish(run, config.schedule, _RATE, tables.lr)
    moved = None if tables is None else tables.momentum
    if config.schedule.momentum is None:
        return Schedules(rate, moved if moved is None else _by_epoch(run, config.schedule, _RATE, moved))
    if moved is not None:
        message = f"{config.schedule.type!r} moves momentum too; remove this, or set schedule.cycle_momentum to false"
        problems.add(_MOMENTUM, message)
    found = None if parts.momentum is None else _base(run, config.schedule.momentum, _MOMENTUM, parts.momentum)
    return Schedules(rate, None if found is None else _finish(run, config.schedule.momentum, _MOMENTUM, found.lr))


def schedule_call(config: ExperimentConfig, calls: Mapping[str, Resolved], path: str, num_images: int) -> Resolved | None:
    """The callable at a dotted path, its lengths in steps."""
    written = config.schedule.momentum if path.startswith(_MOMENTUM) else config.schedule
    if written is None or path not in calls:
        return None
    spec = schedule_specs(written, _MOMENTUM if written is config.schedule.momentum else _RATE)[path]
    return counted(calls[path], spec, path, Problems(), lambda length, _: num_steps(length, config, num_images))


def _base(run: _Run, spec: ScheduleConfig | MomentumConfig, path: str, calls: Mapping[str, Resolved]) -> Tables | None:
    """The schedule without its warm-up, and the momentum that a scheduler of torch moves."""
    if not spec.phases:
        return _one(run, spec, path, path, calls[path], run.total_steps)
    begin, made, lengths = 0, [], []
    for name, phase in spec.phases.items():
        place = f"{path}.phases.{name}"
        left = run.total_steps - begin
        if left < 1:
            run.late(
                place, f"begins at step {begin} of {run.total_steps}: it would never be used; shorten the phases before it"
            )
        length = max(left, 1) if phase.length is None else run.steps(phase.length)
        one = _one(run, spec, path, place, calls[place], length)
        if one is not None and one.momentum is not None:
            run.problems.add(place, f"{phase.type!r} moves momentum too, which a phase cannot; set cycle_momentum: false")
        made.append(one)
        lengths.append(length)
        begin += length
    whole = [one.lr for one in made if one is not None]
    return Tables(join(whole, lengths[:-1]), None) if len(whole) == len(made) else None


def _one(
    run: _Run, spec: ScheduleConfig | MomentumConfig, path: str, place: str, call: Resolved, total_steps: int
) -> Tables | None:
    """One schedule over so many steps."""
    if kind_of(call.target) != "schedule":
        return _adapted(run, spec, path, place, call, total_steps)
    written = schedule_specs(spec, path)[place]
    ready = counted(call, written, place, run.problems, run.steps)
    made: Any = None if ready is None else caught(place, run.problems, ready)
    if made is None:
        return None
    if not callable(made):
        message = f"gives {type(made).__name__}, expected a function (step, total_steps) -> multiplier"
        run.problems.add(place, message)
        return None
    if isinstance(made, Plateau) and (spec.phases or path == _MOMENTUM or spec.by_epoch):
        where = "moves with scores, so it stands alone: not in phases, not for momentum, not with by_epoch"
        run.problems.add(f"{place}.type", f"'plateau' {where}")
        return None
    for name, message in faults_of(made, total_steps).items():
        run.late(f"{place}.{name}", message)
    return Tables(made, None)


def _adapted(
    run: _Run, spec: ScheduleConfig | MomentumConfig, path: str, place: str, call: Resolved, total_steps: int
) -> Tables | None:
    """A scheduler of torch's kind, or a function that sets the rate, as tables over the run."""
    kind, before = kind_of(call.target), len(run.problems.found)
    if path == _MOMENTUM:
        message = f"{call.name!r} sets rates of an optimizer; give a built-in here, such as one_cycle or triangular"
        run.problems.add(f"{place}.type", message)
    if spec.phases and spec.by_epoch:
        run.problems.add(f"{path}.by_epoch", f"{call.name!r} would count epochs in a phase of steps; remove by_epoch")
    if kind == "function" and takes(call.target, "step" if spec.by_epoch else "epoch"):
        wrong = ("a step", "epochs", "false") if spec.by_epoch else ("an epoch", "steps", "true")
        message = f"{call.name!r} takes {wrong[0]}, and would be given {wrong[1]}; set this to {wrong[2]}"
        run.problems.add(f"{path}.by_epoch", message)
    ready = counted(call, schedule_specs(spec, path)[place], place, run.problems, partial(_count, run, spec.by_epoch))
    if ready is None or run.parts.optimizer is None or len(run.problems.found) > before:
        return None
    epochs = (total_steps - 1) * run.config.train.batch_size // run.num_images + 1  # that the run begins
    table = table_of_scheduler if kind == "scheduler" else table_of_function
    return _caught_tables(run, place, partial(table, ready, num_values=epochs if spec.by_epoch else total_steps))


def _caught_tables(run: _Run, place: str, make: Callable[..., Tables]) -> Tables | None:
    optimizer = caught("optim", run.problems, partial(idle_optimizer, run.config, run.parts))
    if optimizer is None:
        return None
    try:
        return make(optimizer=optimizer)
    except Exception as error:  # noqa: BLE001 - a user's own code may raise anything, and all faults are shown at once
        message = (
            f"raised {type(error).__name__}: {error}. It is run over the whole training on an optimizer with one group; other "
            "groups follow by their ratio: optim.groups.<name>.lr_mult"
        )
        run.problems.add(place, message)
        return None


def _count(run: _Run, by_epoch: bool, length: Length, path: str) -> int:
    """A length in what a scheduler counts."""
    if not by_epoch:
        return run.steps(length)
    if length.epochs is None or length.epochs != int(length.epochs):
        run.problems.add(path, f"with by_epoch the scheduler counts whole epochs; got {length.model_dump(exclude_none=True)}")
        return 1
    return int(length.epochs)


def _finish(run: _Run, spec: ScheduleConfig | MomentumConfig, path: str, schedule: Schedule) -> Schedule | None:
    """By epoch, and warmed up."""
    schedule = _by_epoch(run, spec, path, schedule)
    warmup = spec.warmup
    if warmup is None:
        if path == _MOMENTUM and schedule == constant():
            run.problems.add(
                path, "is constant and has no warm-up, so nothing would change; give a type or a warmup, or remove it"
            )
        return schedule
    steps = run.steps(warmup.length)
    if steps >= run.total_steps:
        message = f"{steps} steps in a run of {run.total_steps}: it would not end; give less, or train longer"
        run.late(f"{path}.warmup.length", message)
    make = partial(with_warmup, schedule, type=warmup.type, warmup_steps=steps, ratio=warmup.ratio, divide=path == _MOMENTUM)
    warm: Schedule | None = caught(f"{path}.warmup", run.problems, make)
    return warm


def _by_epoch(run: _Run, spec: ScheduleConfig | MomentumConfig, path: str, schedule: Schedule) -> Schedule:
    if not spec.by_epoch:
        return schedule
    if run.total_steps * run.config.train.batch_size <= run.num_images:
        run.late(f"{path}.by_epoch", "the run is not longer than one epoch, so nothing would ever change; remove it")
    calls = run.parts.schedule if path == _RATE else run.parts.momentum
    adapted = not spec.phases and calls is not None and kind_of(calls[path].target) != "schedule"
    counts = adapted or getattr(schedule, "reach", False)  # the last epoch has what the last step would have
    return (in_epochs if counts else hold_epochs)(schedule, **run.epochs)
