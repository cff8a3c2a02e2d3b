"""The steps of a run, without building it."""

from __future__ import annotations

from rayseg.build.data import open_data
from rayseg.build.objects import make_plan
from rayseg.build.parts import Components, resolve_parts
from rayseg.build.resolve import Problems
from rayseg.config import ExperimentConfig
from rayseg.engine import Plan

__all__ = ["plan_of"]


def plan_of(config: ExperimentConfig, components: Components | None = None) -> Plan:
    """Every length of a run in optimizer steps; opens the data to know how long an epoch is.

    Raises:
        ConfigError: the data cannot be opened.
    """
    problems = Problems()
    data = open_data(config, resolve_parts(config, components or {}, problems), problems)
    problems.raise_if_any()
    assert data is not None
    return make_plan(config, len(data.train))
