"""Runs and sweeps. The only place that imports ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rayseg.launch.run import TrainResult
from rayseg.launch.train import train

if TYPE_CHECKING:
    from rayseg.launch.summary import SweepResult
    from rayseg.launch.sweep import sweep

__all__ = ["SweepResult", "TrainResult", "sweep", "train"]


def __getattr__(name: str) -> Any:
    """Load the search, which needs ray, when it is asked for."""
    if name == "sweep":
        from rayseg.launch.sweep import sweep  # noqa: PLC0415  ray takes seconds to import

        return sweep
    if name == "SweepResult":
        from rayseg.launch.summary import SweepResult  # noqa: PLC0415

        return SweepResult
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
