"""A pixel sampler from what the config says: its arguments, and those that change over the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from rayseg.build.resolve import (
    Problems,
    Resolved,
    arguments_of,
    bind,
    bind_some,
    call_hidden,
    caught,
    find,
    nearest,
    takes,
)
from rayseg.config import ArgumentSchedule, ExperimentConfig, Length, Moment, SamplingConfig, Spec
from rayseg.data import steps_of
from rayseg.sampling import SAMPLERS, Ramp, all_pixels

__all__ = ["OFFERED", "check_times", "make_ramps", "resolve_sampler"]

#: What the mix gives to a sampler that names it.
OFFERED = ("ignore_index", "nll", "log_probs", "pixel_loss")


def resolve_sampler(
    sampling: SamplingConfig, path: str, components: Mapping[str, Callable[..., Any]], problems: Problems
) -> Resolved | None:
    """The sampler with its constant arguments; None where a fault was found.

    Args:
        sampling: what the user wrote.
        path: where.
        components: name -> callable given by value.
        problems: every fault is added here.
    """
    target = find(sampling.type, path, problems, {**SAMPLERS, **components})
    if target is None:
        return None
    before = len(problems.found)
    for name, schedule in sampling.schedule.items():
        _check_schedule(target, sampling, name, schedule, f"{path}.schedule.{name}", problems)
    constant = Spec(type=sampling.type, args={k: v for k, v in sampling.kwargs.items() if k not in sampling.schedule})
    found = bind(target, constant, path, problems, given=(*OFFERED, "scope", *sampling.schedule), num_positional=2)
    if found is None or len(problems.found) > before:
        return None
    if takes(target, "scope"):
        return replace(found, kwargs={**found.kwargs, "scope": sampling.scope})
    if sampling.scope != "global":
        problems.add(f"{path}.scope", f"{sampling.type!r} has no argument 'scope'; remove it, or give the sampler one")
    return found


def _check_schedule(
    target: Callable[..., Any], sampling: SamplingConfig, name: str, schedule: ArgumentSchedule, path: str, problems: Problems
) -> None:
    if name in (*OFFERED, "scope") or not (takes(target, name) or call_hidden(target)):
        own = [each for each in arguments_of(target, 2) if each not in (*OFFERED, "scope")]
        listed = f"it takes {', '.join(own)}" if own else "it takes none; remove this"
        problems.add(path, f"{sampling.type!r} has no argument {name!r}; {listed}.{nearest(name, own)}")
        return
    if name in sampling.kwargs:
        problems.add(path, f"changes over the run, but {sampling.kwargs[name]!r} is given as its constant value too; keep one")
    for end, value in (("from", schedule.first), ("to", schedule.to)):
        faults = Problems()
        bind_some(target, {name: value}, path, faults)
        for fault in faults.found:
            problems.add(f"{path}.{end}", fault.message)
            return  # the argument takes no such number; the other end would be told for the same reason


def make_ramps(
    sampling: SamplingConfig | None, path: str, config: ExperimentConfig, num_images: int, problems: Problems
) -> dict[str, Ramp]:
    """Arguments that change over the run, each as a function of the step; one with a fault is left out.

    Args:
        sampling: what the user wrote, if anything.
        path: where.
        config: says how long the run is.
        num_images: in the training set, for lengths in epochs.
        problems: every fault is added here.
    """
    schedules = {} if sampling is None else sampling.schedule
    made = {
        name: caught(f"{path}.schedule.{name}", problems, partial(_ramp, schedule, config, num_images))
        for name, schedule in schedules.items()
    }
    return {name: ramp for name, ramp in made.items() if ramp is not None}


def _ramp(schedule: ArgumentSchedule, config: ExperimentConfig, num_images: int) -> Ramp:
    begin, end = (_steps(each, config, num_images) for each in (schedule.begin, schedule.end or config.train.length))
    power = {} if schedule.power is None else {"power": schedule.power}
    return Ramp(schedule.first, schedule.to, begin, end, schedule.shape, **power)


def _steps(length: Length | Moment, config: ExperimentConfig, num_images: int) -> int:
    return steps_of(length.steps, length.epochs, num_images, config.train.batch_size)


def check_times(
    sampling: SamplingConfig, path: str, config: ExperimentConfig, num_images: int, total_steps: int, problems: Problems
) -> None:
    """What begins or ends after the last step would never be used, nor what ends before the sampler starts.

    Args:
        sampling: what the user wrote.
        path: where.
        config: the experiment.
        num_images: in the training set.
        total_steps: of the run.
        problems: every fault is added here.
    """
    start = 0 if sampling.start is None else _steps(sampling.start, config, num_images)
    if SAMPLERS.get(sampling.type) is all_pixels and sampling.start is not None:
        problems.add(f"{path}.start", "every pixel counts before and after it; remove it")
    elif start >= total_steps:
        message = f"step {start} of {total_steps}: the sampler would never be used; give less, or remove sampling"
        problems.add(f"{path}.start", message)
    for name, schedule in sampling.schedule.items():
        end = total_steps if schedule.end is None else _steps(schedule.end, config, num_images)
        where = f"{path}.schedule.{name}.end"
        if end > total_steps:
            problems.add(where, f"step {end} of {total_steps}: the run ends before; give less, or null for the run's end")
        elif end <= start < total_steps:
            message = f"step {end}, and the sampler starts at step {start}: {schedule.to} is all that is used; give more"
            problems.add(where, f"{message}, or write {path}.{name}: {schedule.to}")
