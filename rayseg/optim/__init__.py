"""Parameter groups, optimizers by name, and schedules."""

from __future__ import annotations

from rayseg.optim.groups import Kind, Rule, RuleLike, parameter_groups
from rayseg.optim.optimizers import OPTIMIZERS, resolve_optimizer
from rayseg.optim.schedules import (
    SCHEDULES,
    Schedule,
    WarmupType,
    apply_schedule,
    constant,
    cosine,
    poly,
    with_warmup,
)

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Kind",
    "Rule",
    "RuleLike",
    "Schedule",
    "WarmupType",
    "apply_schedule",
    "constant",
    "cosine",
    "parameter_groups",
    "poly",
    "resolve_optimizer",
    "with_warmup",
]
