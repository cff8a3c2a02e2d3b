"""Runs and sweeps. The only place that imports ray, and only when it is needed.

The names load when they are first used: the small actors of a run (its writer, the gates of its trials) need no tensors.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rayseg.imports import importing

if TYPE_CHECKING:
    from rayseg.launch.confirmation import confirm, report
    from rayseg.launch.confirmed import Confirmation
    from rayseg.launch.evaluate import evaluate_on_ray
    from rayseg.launch.registering import Registered, register
    from rayseg.launch.run import TrainResult
    from rayseg.launch.summary import SweepResult
    from rayseg.launch.sweeping import sweep
    from rayseg.launch.training import train

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

_HOME = {
    "Confirmation": "confirmed",
    "Registered": "registering",
    "SweepResult": "summary",
    "TrainResult": "run",
    "confirm": "confirmation",
    "evaluate_on_ray": "evaluate",
    "register": "registering",
    "report": "confirmation",
    "sweep": "sweeping",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rayseg.launch' has no attribute {name!r}; it has {', '.join(__all__)}")
    with importing():
        return getattr(import_module(f"rayseg.launch.{_HOME[name]}"), name)
