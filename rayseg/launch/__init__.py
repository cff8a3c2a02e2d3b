"""Runs and sweeps. The only place that imports ray, and only when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rayseg.launch.confirm import confirm, report
from rayseg.launch.confirmed import Confirmation
from rayseg.launch.register import Registered, register
from rayseg.launch.run import TrainResult
from rayseg.launch.summary import SweepResult
from rayseg.launch.sweep import sweep
from rayseg.launch.train import train

if TYPE_CHECKING:
    from rayseg.launch.evaluate import evaluate_on_ray

__all__ = [
    "Confirmation",
    "Registered",
    "SweepResult",
    "TrainResult",
    "confirm",
    "evaluate_on_ray",
    "register",
    "report",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    if name != "evaluate_on_ray":
        raise AttributeError(f"module 'rayseg.launch' has no attribute {name!r}; it has {', '.join(__all__)}")
    from rayseg.launch.evaluate import evaluate_on_ray  # noqa: PLC0415  ray takes seconds to import

    return evaluate_on_ray
