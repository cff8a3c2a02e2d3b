"""Gradients of several iterations in one step: lengths that count iterations become lengths that count steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rayseg.compat.mmseg.sections import Report, Section

__all__ = ["accumulation", "in_steps"]

#: What counts in a schedule; not the values of its arguments.
_LENGTHS = frozenset({"down", "every", "half_period", "length", "milestones", "periods", "up"})
_KEYS = ("train.steps", "train.log_every", "eval.every", "checkpoint.every")


def accumulation(section: Section, key: str) -> None:
    """Note how many iterations make a step: ``cumulative_iters`` of 0.x, ``accumulative_counts`` of 1.x, which counts as read.

    Args:
        section: that may say so.
        key: under which.
    """
    count = section.take(key, 1)
    if not isinstance(count, int) or count < 1:
        section.lose(key, f"must be a whole number from 1, got {count!r}", "train.micro_batch")
    elif count > 1:
        section.report.accumulated = (f"{section.path}.{key}", count)


def in_steps(report: Report) -> None:
    """Make one step of as many iterations as are accumulated: the batch, ``train.micro_batch``, every length in iterations.

    Source: ``GradientCumulativeOptimizerHook`` of mmcv 1.7, ``OptimWrapper`` of MMEngine 0.10: the gradients of k iterations
    are averaged, and the rate moves with each of them.

    Args:
        report: of a config of which everything else is translated; changed in place.

    Example:
        >>> report = Report("1.x", {"train.steps": 320, "train.batch_size": 8, "schedule": {"type": "step", "every": 80}})
        >>> report.accumulated, report.images_of_gpu = ("optim_wrapper.accumulative_counts", 2), 1
        >>> in_steps(report)
        >>> report.config["train.batch_size"], report.config["train.micro_batch"], report.config["schedule"]["every"]
        (16, 1, 40)
    """
    if report.accumulated is None:
        return
    (path, count), config = report.accumulated, report.config
    uneven = [key for key in _KEYS if isinstance(config.get(key), int) and config[key] % count]
    for key in _KEYS:
        if isinstance(config.get(key), int):
            config[key] = math.ceil(config[key] / count)
    if "train.batch_size" in config:
        config["train.batch_size"] *= count
        config["train.micro_batch"] = report.images_of_gpu
    if "schedule" in config:
        config["schedule"] = _divided(config["schedule"], count)
    if "train.ema" in config:
        config["train.ema"] = _average(config["train.ema"], count)
    rounded = f"; rounded up: {', '.join(uneven)}" if uneven else ""
    rounded += "" if "train.batch_size" in config else "; the file says no batch: write train.batch_size, that of a step"
    message = (
        f"{count} iterations are one step here, and lengths are divided by {count}{rounded}. The rate of a step is that of its "
        "first iteration, there of its last; losses are divided over the whole step, there over an iteration; batch norms see "
        "train.micro_batch images of each worker, as there"
    )
    report.note(path, message)


def _divided(schedule: Mapping[str, Any], count: int) -> dict[str, Any]:
    """A schedule whose every length in iterations is divided."""
    found: dict[str, Any] = {}
    for key, value in schedule.items():
        if isinstance(value, dict) and "epochs" not in value:
            found[key] = _divided(value, count)
        elif key in _LENGTHS and isinstance(value, int):
            found[key] = math.ceil(value / count)
        elif key in _LENGTHS and isinstance(value, list):
            found[key] = [math.ceil(each / count) if isinstance(each, int) else each for each in value]
        else:
            found[key] = value
    if found.get("type") in {"exp", "inv"} and "gamma" in found and "every" not in found:
        found["gamma"] = found["gamma"] ** count if found["type"] == "exp" else found["gamma"] * count
    return found


def _average(ema: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The average moves with every iteration there, ``count`` times towards the same weights."""
    every, start = ema["every"], ema.get("start")
    share = {"decay": ema["decay"] ** count, "every": 1} if every == 1 else {"every": math.ceil(every / count)}
    return {**ema, **share, "start": start and math.ceil(start / count)}
