"""How well a search used its cluster: a function of the times that its trials wrote down.

A place holds one trial at a time. In a place, loops of trials follow each other; what lies between them is overhead: the end of
one trial, the choice of the next, its process, its data and its network. What lies after the last loop is waiting for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ClusterUse", "Span", "cluster_use"]

#: Begin and end in seconds of the same clock.
Span = tuple[float, float]


@dataclass(frozen=True)
class ClusterUse:
    """What became of the time of a search's places.

    Args:
        trials: that were run.
        places: as many trials could run at a time.
        seconds: from the start of the search to its end; of an interrupted one, of its parts.
        trials_per_hour: of them.
        busy: share of the places' time in which a trial's loop ran, evaluations and checkpoints included.
        waiting: share in which a place had no trial because none was left.
        first_s: mean seconds from the start to the loop of the first trial in a place; a process is started for it.
        between_s: mean seconds from the end of a trial's loop to the begin of the next in the same place; None without one.
    """

    trials: int
    places: int
    seconds: float
    trials_per_hour: float
    busy: float
    waiting: float
    first_s: float
    between_s: float | None

    def __str__(self) -> str:
        """Two lines for people."""
        between = "" if self.between_s is None else f", {self.between_s:.1f} s between two trials in one place"
        return (
            f"{self.trials} trials in {self.seconds:.0f} s, {self.trials_per_hour:.0f} an hour, {self.places} at a time\n"
            f"training {self.busy:.0%} of that time, waiting for the last {self.waiting:.0%}; "
            f"{self.first_s:.1f} s to a first step{between}"
        )


def cluster_use(loops: Sequence[Sequence[Span]], parts: Sequence[Span], places: int) -> ClusterUse | None:
    """Put loops into places, and count what lies between them.

    Which of two free places a trial had is not known; the one that was free for longest is taken, so that overhead is rather
    over- than underestimated, and waiting the other way round.

    Args:
        loops: of each trial; one that was interrupted has several. Those that end outside all parts are left out.
        parts: of the search; several where it was interrupted and gone on with.
        places: most trials at a time.

    Returns:
        None where no loop was written down.

    Example:
        >>> use = cluster_use([[(8, 18)], [(9, 17)], [(19, 29)]], [(0, 30)], places=2)
        >>> use.busy, use.first_s, use.between_s
        (0.4666666666666667, 8.5, 2.0)
        >>> print(use)
        3 trials in 30 s, 360 an hour, 2 at a time
        training 47% of that time, waiting for the last 22%; 8.5 s to a first step, 2.0 s between two trials in one place
    """
    inside = [sorted(span for own in loops for span in own if _within(span, part)) for part in parts]
    placed = [_Placed.of(each, began) for each, (began, _) in zip(inside, parts, strict=True)]
    counted, seconds = [span for each in inside for span in each], sum(ended - began for began, ended in parts)
    if not counted or seconds <= 0:
        return None
    places = max(places, *(len(each.ends) for each in placed))  # clocks of nodes differ a little
    trials = sum(any(_within(span, part) for span in own for part in parts) for own in loops)
    busy = sum(ended - began for began, ended in counted)
    first, between = [gap for each in placed for gap in each.first], [gap for each in placed for gap in each.between]
    return ClusterUse(
        trials=trials,
        places=places,
        seconds=seconds,
        trials_per_hour=3600 * trials / seconds,
        busy=busy / (seconds * places),
        waiting=1 - (busy + sum(first) + sum(between)) / (seconds * places),
        first_s=sum(first) / len(first),
        between_s=sum(between) / len(between) if between else None,
    )


def _within(span: Span, part: Span) -> bool:
    return part[0] <= span[0] and span[1] <= part[1]


@dataclass(frozen=True)
class _Placed:
    """When each place was free at last, and what lay before its first loop and between the others."""

    ends: list[float]
    first: list[float]
    between: list[float]

    @classmethod
    def of(cls, loops: Sequence[Span], began: float) -> _Placed:
        """Loops in the order of their starts."""
        placed = cls([], [], [])
        for start, end in loops:
            if placed.ends and (free := min(placed.ends)) <= start:
                placed.ends.remove(free)
                placed.between.append(start - free)
            else:
                placed.first.append(start - began)
            placed.ends.append(end)
        return placed
