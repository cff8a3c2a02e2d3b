"""What is in force under ``schedule``, asked of the schedules that were built.

The config is consulted for the shape only: whether there are phases, a warm-up, the clock of epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rayseg.build.experiment import Experiment
from rayseg.build.reading import UnreadableError, argument
from rayseg.build.schedules import schedule_call
from rayseg.config import PHASES, MomentumConfig, ScheduleConfig

__all__ = ["read_schedule"]


def read_schedule(experiment: Experiment, names: Sequence[str]) -> Any:
    """The value in force under ``schedule.<names>``; a length in steps, None for a part that is not there.

    Raises:
        UnreadableError: nothing that was built tells it.
    """
    written = experiment.config.schedule
    if names[:1] != ["momentum"]:
        return _read(experiment, written, "schedule", experiment.fit.schedule, names)
    made, rest = experiment.fit.momentum_schedule, names[1:]
    if written.momentum is None or made is None:
        if rest:
            raise UnreadableError("there is no such part")
        return None
    return _read(experiment, written.momentum, "schedule.momentum", made, rest)


def _read(experiment: Experiment, spec: ScheduleConfig | MomentumConfig, path: str, made: Any, names: Sequence[str]) -> Any:
    inner = made if spec.warmup is None else made.schedule
    if names[:1] == ["warmup"]:
        return None if spec.warmup is None else _warmup(made, names[1:])
    if names == ["by_epoch"]:
        return hasattr(inner, "num_images")
    base = inner.schedule if spec.by_epoch else inner
    if names[:1] == ["phases"]:
        return _phase(experiment, spec, path, base, names[1:])
    if spec.phases:
        if list(names) in ([], ["type"]):
            return PHASES
        raise UnreadableError("it consists of phases")
    return _own(experiment, path, base, names)


def _own(experiment: Experiment, path: str, made: Any, names: Sequence[str]) -> Any:
    calls = {**(experiment.parts.schedule or {}), **(experiment.parts.momentum or {})}
    call = schedule_call(experiment.config, calls, path, len(experiment.data.train))
    value = argument(call, made, names)
    return f"{value.__module__}:{value.__qualname__}" if callable(value) else value


def _phase(experiment: Experiment, spec: ScheduleConfig | MomentumConfig, path: str, joined: Any, names: Sequence[str]) -> Any:
    if not names:
        return {} if not spec.phases else None
    name, *rest = names
    if name not in spec.phases:
        if rest:
            raise UnreadableError(f"there is no phase {name!r}")
        return None
    number = list(spec.phases).index(name)
    if rest == ["length"]:
        return joined.lengths[number] if number < len(joined.lengths) else None
    return _own(experiment, f"{path}.phases.{name}", joined.schedules[number], rest)


def _warmup(made: Any, names: Sequence[str]) -> Any:
    named = {"type": made.type, "length": made.warmup_steps, "ratio": made.ratio}
    return named[names[0]] if names else named
