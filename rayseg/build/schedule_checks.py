"""Schedules tried over the whole run, before it starts."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from torch.optim import Optimizer

from rayseg.build.metric_names import check_metric
from rayseg.build.optimizers import idle_optimizer
from rayseg.build.parts import Parts
from rayseg.build.resolve import Problems, caught
from rayseg.build.schedules import make_schedules
from rayseg.config import ExperimentConfig
from rayseg.engine import Plan, Schedule
from rayseg.optim import Plateau, apply_schedule, plateau_in

__all__ = ["check_schedules", "probe_schedule"]

#: Steps at which a schedule is asked, spread over the run.
_NUM_PROBES = 500
_MOMENTUM = "schedule.momentum"


def check_schedules(
    config: ExperimentConfig, parts: Parts, num_images: int, plan: Plan, class_names: Sequence[str], problems: Problems
) -> None:
    """Make the schedules of a run and ask them for their values over its length.

    Args:
        config: the experiment.
        parts: resolved.
        num_images: in the training set.
        plan: of the run.
        class_names: C names, which the metrics that a plateau may follow are made of.
        problems: every fault is added here.
    """
    before, total_steps = len(problems.found), plan.total_steps
    made = make_schedules(config, parts, num_images, problems, strict=True)
    if made.rate is not None:
        probe_schedule(made.rate, "schedule", total_steps, problems)
        plateau = plateau_in(made.rate)
        if plateau is not None:
            monitor, mode = ("schedule.monitor", plateau.monitor), ("schedule.mode", plateau.mode)
            check_metric(config, class_names, monitor, mode, problems)
            _check_patience(plateau, plan, problems)
    probe_schedule(made.momentum, _MOMENTUM, total_steps, problems)
    clean = len(problems.found) == before and not problems.has(_MOMENTUM) and parts.optimizer is not None
    if made.momentum is not None and clean:
        optimizer = caught("optim", problems, lambda: idle_optimizer(config, parts))
        if optimizer is not None:
            caught(_MOMENTUM, problems, lambda: _probe_momentum(optimizer, made.momentum, total_steps, problems))


def _check_patience(plateau: Plateau, plan: Plan, problems: Problems) -> None:
    """The first evaluation is the best so far; a fall needs more than ``patience`` others, and steps after them."""
    evaluations = sum(plan.evaluates(step) for step in range(1, plan.total_steps))
    if evaluations < plateau.patience + 2:
        message = (
            f"got {plateau.patience}, but only {evaluations} evaluations come before the last step, so the rate could never "
            "fall; give less, evaluate more often (eval.every), or choose another type"
        )
        problems.add("schedule.patience", message)


def probe_schedule(schedule: Schedule | None, path: str, total_steps: int, problems: Problems) -> None:
    """Ask for the multiplier over the whole run; the first fault is noted."""
    if schedule is None:
        return
    for step in _steps(total_steps):
        value = caught(path, problems, functools.partial(_multiplier, schedule, step, total_steps))
        if value is None:
            return
        if not math.isfinite(value) or value < 0:
            message = f"the multiplier at step {step} of {total_steps} is {value:g}; expected a finite number, 0 or more"
            problems.add(path, message)
            return


def _steps(total_steps: int) -> list[int]:
    """The first, the last, and so many between them."""
    return sorted({*range(0, total_steps, max(1, total_steps // _NUM_PROBES)), total_steps // 2, total_steps - 1})


def _multiplier(schedule: Schedule, step: int, total_steps: int) -> float:
    return float(schedule(step, total_steps))


def _probe_momentum(optimizer: Optimizer, schedule: Schedule | None, total_steps: int, problems: Problems) -> None:
    """A first beta of 1 divides by zero, and a momentum above 1 grows without end."""
    assert schedule is not None
    for step in _steps(total_steps):
        apply_schedule(optimizer, 1.0, schedule(step, total_steps))
        group = optimizer.param_groups[0]
        if "betas" in group and group["betas"][0] >= 1:
            found, limit = group["betas"][0], "a first beta must stay below 1"
        elif group.get("momentum", 0.0) > 1 + 1e-12:
            found, limit = group["momentum"], "momentum must not exceed 1"
        else:
            continue
        message = f"at step {step} of {total_steps} it is {found:g}, and {limit}; lower the initial value or the multiplier"
        problems.add(_MOMENTUM, message)
        return
