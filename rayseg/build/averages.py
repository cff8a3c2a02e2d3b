"""Averages of weights: made, read back, and asked whether they would ever be used."""

from __future__ import annotations

from typing import Any

from torch import nn

from rayseg.build.objects import num_steps
from rayseg.build.resolve import Problems
from rayseg.config import ExperimentConfig
from rayseg.engine import Ema, Plan, Swa, TrainState

__all__ = ["average_in_force", "check_averages", "make_ema", "make_swa"]


def make_ema(config: ExperimentConfig, model: nn.Module, num_images: int) -> Ema | None:
    """The moving average that the config asks for, if any."""
    written = config.train.ema
    if written is None:
        return None
    return Ema(
        model,
        decay=written.decay,
        warmup=written.warmup,
        gamma=written.gamma,
        every=written.every,
        start_step=0 if written.start is None else num_steps(written.start, config, num_images),
        average_buffers=written.buffers == "average",
    )


def make_swa(config: ExperimentConfig, model: nn.Module, num_images: int) -> Swa | None:
    """The equal average that the config asks for, if any."""
    written = config.train.swa
    if written is None:
        return None
    start, every = (num_steps(length, config, num_images) for length in (written.start, written.every))
    return Swa(model, start_step=start, every=every, num_batches=written.batches)


def check_averages(config: ExperimentConfig, plan: Plan, num_images: int, problems: Problems) -> None:
    """What begins after the last step would never be used."""
    ema, swa, total = config.train.ema, config.train.swa, plan.total_steps
    start = None if ema is None or ema.start is None else num_steps(ema.start, config, num_images)
    if start is not None and start >= total:
        message = f"step {start} of {total}: the average would be a copy of the weights; give less, or remove train.ema"
        problems.add("train.ema.start", message)
    start = None if swa is None else num_steps(swa.start, config, num_images)
    if start is not None and start > total:
        message = f"step {start} of {total}: there would be no average; give less, or remove train.swa"
        problems.add("train.swa.start", message)


def average_in_force(state: TrainState, kind: str) -> dict[str, Any]:
    """Settings of an average as it was built, by config key; empty where there is none."""
    ema, swa = state.ema, state.swa
    if kind == "ema" and ema is not None:
        return {
            "decay": ema.decay,
            "warmup": ema.warmup,
            "gamma": ema.gamma,
            "every": ema.every,
            "start": ema.start_step or None,
            "buffers": "average" if ema.average_buffers else "copy",
        }
    if kind == "swa" and swa is not None:
        return {"start": swa.start_step, "every": swa.every, "batches": swa.num_batches}
    return {}
