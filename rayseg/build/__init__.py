"""Config to objects, and every complaint about a config."""

from rayseg.build.applied import applied_values, check_applied
from rayseg.build.check import check, hidden_arguments, worker_counts
from rayseg.build.experiment import Evaluator, Experiment, assemble, configure_torch, pick_device
from rayseg.build.lengths import plan_of
from rayseg.build.parts import Components

__all__ = [
    "Components",
    "Evaluator",
    "Experiment",
    "applied_values",
    "assemble",
    "check",
    "check_applied",
    "configure_torch",
    "hidden_arguments",
    "pick_device",
    "plan_of",
    "worker_counts",
]
