"""Schedules: what fraction of its initial value the learning rate (or the momentum) has at a step.

A schedule is a pure function ``(step, total_steps) -> multiplier``: step counts from 0, there is no state, and a checkpoint
holds the step only. Every parameter group is multiplied from its own initial value, and a floor is a ratio of it, so that
groups keep their proportions to the end (an absolute floor would lift a group that starts below it). Schedules are small frozen
objects: two with the same arguments are equal, and they travel to workers. ``plateau`` alone has state: it sees scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rayseg.optim.schedules._arguments import Curve, Schedule, faults_of
from rayseg.optim.schedules.apply import apply_schedule
from rayseg.optim.schedules.compose import WarmupType, hold_epochs, in_epochs, join, with_warmup
from rayseg.optim.schedules.cycles import cosine_restarts, cyclic, one_cycle, triangular
from rayseg.optim.schedules.decay import constant, cosine, exp, inv, linear, poly
from rayseg.optim.schedules.functions import from_function, multiplicative
from rayseg.optim.schedules.plateau import Plateau, plateau, plateau_in
from rayseg.optim.schedules.stairs import step
from rayseg.optim.schedules.tables import Tables, table_of_function, table_of_scheduler

__all__ = [
    "SCHEDULES",
    "Curve",
    "Plateau",
    "Schedule",
    "Tables",
    "WarmupType",
    "apply_schedule",
    "constant",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "exp",
    "faults_of",
    "from_function",
    "hold_epochs",
    "in_epochs",
    "inv",
    "join",
    "linear",
    "multiplicative",
    "one_cycle",
    "plateau",
    "plateau_in",
    "poly",
    "step",
    "table_of_function",
    "table_of_scheduler",
    "triangular",
    "with_warmup",
]

#: Schedules by the name that a config uses: ``(**own) -> Schedule``.
SCHEDULES: Mapping[str, Callable[..., Schedule]] = MappingProxyType(
    {
        "constant": constant,
        "cosine": cosine,
        "cosine_restarts": cosine_restarts,
        "cyclic": cyclic,
        "exp": exp,
        "inv": inv,
        "lambda": from_function,
        "linear": linear,
        "multiplicative": multiplicative,
        "one_cycle": one_cycle,
        "plateau": plateau,
        "poly": poly,
        "step": step,
        "triangular": triangular,
    }
)
