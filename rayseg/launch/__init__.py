"""Runs and sweeps. The only place that imports ray, and only when it is needed."""

from rayseg.launch.confirm import confirm
from rayseg.launch.confirmed import Confirmation
from rayseg.launch.evaluate import evaluate_on_ray
from rayseg.launch.register import Registered, register
from rayseg.launch.run import TrainResult
from rayseg.launch.summary import SweepResult
from rayseg.launch.sweep import sweep
from rayseg.launch.train import train

__all__ = [
    "Confirmation",
    "Registered",
    "SweepResult",
    "TrainResult",
    "confirm",
    "evaluate_on_ray",
    "register",
    "sweep",
    "train",
]
