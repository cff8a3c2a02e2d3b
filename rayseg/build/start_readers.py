"""What a run started from and what it freezes, read back from what was built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rayseg.build.experiment import Experiment
from rayseg.build.reading import UnreadableError
from rayseg.models import Freeze

__all__ = ["read_freeze", "read_init"]


def read_init(experiment: Experiment, names: Sequence[str]) -> Any:
    """The value of ``init.<names>`` as the weights were taken.

    Raises:
        UnreadableError: the run does not start from weights.
    """
    if experiment.start is None:
        if names:
            raise UnreadableError("the run does not start from weights")
        return None
    values = {"checkpoint": experiment.start.checkpoint, **vars(experiment.start.rules)}
    return values[names[0]] if names else values


def read_freeze(experiment: Experiment, names: Sequence[str]) -> Any:
    """The value of ``freeze.<names>``; a release in steps.

    Raises:
        LookupError: there is no such rule.
    """
    name, *rest = names
    rules: Mapping[str, Freeze] = {} if experiment.fit.freezing is None else experiment.fit.freezing.rules
    if not rest:
        return None if name not in rules else {}
    rule = rules[name]
    return {"match": rule.match, "until": rule.until_step, "statistics": rule.statistics}[rest[0]]
