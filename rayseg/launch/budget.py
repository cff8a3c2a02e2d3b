"""What a search may cost: wall time, and hours of devices. When it is spent, the search stops, with a result.

Trials that run then have the scores of their last evaluations, and go on from their checkpoints when the same call is made with
a larger budget. What was spent is kept in ``budget.json``, over all calls.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from rayseg.errors import ConfigError, Problem

__all__ = ["Budget", "Spent", "read_seconds", "read_spent"]

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Budget:
    """What a search may cost.

    Args:
        seconds: of wall time while trials run, or None.
        device_hours: of all trials together, of GPUs, or of workers where they have none; or None.
    """

    seconds: float | None = None
    device_hours: float | None = None

    def spent_by(self, spent: Spent) -> bool:
        """Whether nothing of it is left.

        Args:
            spent: until now.

        Example:
            >>> Budget(seconds=60).spent_by(Spent(seconds=61.0)), Budget().spent_by(Spent(seconds=61.0))
            (True, False)
        """
        over_time = self.seconds is not None and spent.seconds >= self.seconds
        return over_time or (self.device_hours is not None and spent.device_seconds >= 3600 * self.device_hours)


@dataclass(frozen=True)
class Spent:
    """What a search has cost, over all its calls.

    Args:
        seconds: of wall time while trials ran.
        device_seconds: of all trials together.
        out: whether the budget was spent when the last call ended.
    """

    seconds: float = 0.0
    device_seconds: float = 0.0
    out: bool = False


def read_seconds(written: float | str) -> float:
    """Seconds of a length of time.

    Args:
        written: seconds, or a number with ``s``, ``m``, ``h`` or ``d``.

    Raises:
        ConfigError: it is neither, or not positive.

    Example:
        >>> read_seconds("1.5h"), read_seconds(90)
        (5400.0, 90.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", str(written))
    seconds = float(found[1]) * _UNITS_S[found[2]] if found else 0.0
    if seconds <= 0:
        told = f"got {written!r}; expected seconds, or a positive number with a unit, such as '30m' or '2h'"
        raise ConfigError([Problem("time_budget", told)], where="sweep")
    return seconds


def read_spent(directory: Path) -> Spent:
    """What the search of a directory has cost; nothing where it has not begun.

    Args:
        directory: of the search.
    """
    path = directory / "budget.json"
    if not path.is_file():
        return Spent()
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Spent(kept["seconds"], kept["device_seconds"], kept["out"])
