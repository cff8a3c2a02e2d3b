"""What is known of a search's trials while it runs, and when it may end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "ENDED",
    "LiveRow",
    "LiveState",
    "best_row",
    "brief_text",
    "brief_value",
    "changed_text",
    "clock_text",
    "steps_left",
]

#: ``done`` came to its last step, ``stopped`` was ended early for its score.
LiveState = Literal["waiting", "running", "done", "stopped", "failed"]
ENDED: tuple[LiveState, ...] = ("done", "stopped", "failed")


@dataclass(frozen=True)
class LiveRow:
    """A trial as it is now.

    Args:
        name: of the trial.
        state: what it does.
        step: of its last evaluation; 0 before the first.
        score: of that evaluation, or None.
        changed: dotted key -> value, what it sets differently.
        reason: why it failed, one line.
        baseline: whether others are compared with it.

    Example:
        >>> LiveRow("trial-1", "running", 60, 0.41, {"optim.lr": 0.02}).ended
        False
    """

    name: str
    state: LiveState
    step: int = 0
    score: float | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    baseline: bool = False

    @property
    def ended(self) -> bool:
        """Whether it will not go on."""
        return self.state in ENDED


def best_row(rows: Sequence[LiveRow], mode: Literal["max", "min"]) -> LiveRow | None:
    """The row with the best last score, failed ones left out; None while nobody has one.

    Example:
        >>> best_row([LiveRow("a", "running", 9, 0.4), LiveRow("b", "failed", 9, 0.9)], "max").name
        'a'
    """
    scored = [row for row in rows if row.score is not None and not math.isnan(row.score) and row.state != "failed"]
    pick = max if mode == "max" else min
    return pick(scored, key=lambda row: row.score or 0.0, default=None)


def steps_left(rows: Sequence[LiveRow], total_trials: int, total_steps: int) -> float:
    """How many steps are still to be computed, if trials go on to be ended as early as those that have ended.

    Args:
        rows: of the trials that are known.
        total_trials: of the search; those without a row are waiting.
        total_steps: of a trial that comes to its end.

    Example:
        >>> rows = [LiveRow("a", "done", 100), LiveRow("b", "stopped", 20), LiveRow("c", "running", 30)]
        >>> steps_left(rows, 5, 100)
        150.0
    """
    lengths = [row.step for row in rows if row.state in ("done", "stopped")]
    usual = sum(lengths) / len(lengths) if len(lengths) > 1 else float(total_steps)
    running = [row.step for row in rows if row.state == "running"]
    waiting = total_trials - sum(row.ended for row in rows) - len(running)
    return max(0, waiting) * usual + sum(usual - step if step < usual else (total_steps - step) / 2 for step in running)


def brief_value(value: Any) -> str:
    """A value of a config as a person says it: three digits, a Spec by its type.

    Example:
        >>> brief_value(0.018791), brief_value(None), brief_value({"type": "dice", "weight": 0.5}), brief_value(True)
        ('0.0188', 'none', 'dice (weight 0.5)', 'yes')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if not isinstance(value, Mapping):
        return str(value)
    kind = value.get("type")
    own = ", ".join(f"{key} {brief_value(each)}" for key, each in value.items() if key != "type")
    return own if kind is None else f"{kind} ({own})" if own else str(kind)


def changed_text(changed: Mapping[str, Any], names: Mapping[str, str] | None = None) -> str:
    """What a recipe sets differently, in one line.

    Args:
        changed: dotted key -> value.
        names: what to call a key; one that is absent is called by its own name.

    Example:
        >>> changed_text({"optim.lr": 0.0188, "losses.dice": None}, {"optim.lr": "lr"})
        'lr 0.0188, losses.dice none'
    """
    return ", ".join(f"{(names or {}).get(key, key)} {brief_value(value)}" for key, value in changed.items())


def brief_text(seconds: float) -> str:
    """A time that need not be exact.

    Example:
        >>> [brief_text(each) for each in (8, 95, 3700, 200000)]
        ['8 s', '2 min', '1 h 2 min', '2 days 7 h']
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h"


def clock_text(seconds: float) -> str:
    """A time that is seen to pass.

    Example:
        >>> [clock_text(each) for each in (8, 95, 3700)]
        ['0:08', '1:35', '1:01:40']
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
