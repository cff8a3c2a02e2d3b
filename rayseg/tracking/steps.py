"""Which values are new: no metric is written twice at a step, whatever was restarted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rayseg.tracking.naming import clean_names, storable

__all__ = ["LastSteps", "fresh_values"]


class LastSteps:
    """The last step at which each name was written.

    After a restart the steps since the checkpoint are computed again, equal up to rounding. What was written stays; a value
    whose step is not beyond the last one of its name is dropped.

    Args:
        last: the last step of each name that was written before.

    Example:
        >>> steps = LastSteps({"train/loss": 7})
        >>> steps.new(7, {"train/loss": 0.5, "val/mIoU": 0.6})
        {'val/mIoU': 0.6}
        >>> steps.mark(7, ["val/mIoU"])
        >>> steps.last
        7
    """

    def __init__(self, last: Mapping[str, int] | None = None) -> None:
        self._last = dict(last or {})

    @property
    def last(self) -> int:
        """The last step of any name; 0 when nothing was written."""
        return max(self._last.values(), default=0)

    @property
    def known(self) -> dict[str, int]:
        """The last step of each name; what a new ``LastSteps`` begins with."""
        return dict(self._last)

    def is_new(self, step: int, name: str) -> bool:
        """Whether ``name`` was not yet written at ``step`` or after it."""
        return step > self._last.get(name, -1)

    def new(self, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """The metrics that are still to be written at ``step``."""
        return {name: value for name, value in metrics.items() if self.is_new(step, name)}

    def mark(self, step: int, names: Iterable[str]) -> None:
        """Remember that ``names`` are written up to ``step``."""
        for name in names:
            self._last[name] = max(step, self._last.get(name, -1))


def fresh_values(rows: Sequence[tuple[int, Mapping[str, float]]], known: LastSteps) -> list[tuple[int, str, float]]:
    """What is still to be written, ``(step, name, value)``, the steps of each name rising.

    Args:
        rows: ``(step, metrics)`` in the order of logging.
        known: what is written, under MLflow's names; not changed.

    Raises:
        TrackingError: two metrics have the same name in MLflow.

    Example:
        >>> fresh_values([(7, {"a": 0.1}), (8, {"a": 0.2}), (8, {"a": 0.3})], LastSteps({"a": 7}))
        [(8, 'a', 0.2)]
    """
    ahead = LastSteps()
    fresh: list[tuple[int, str, float]] = []
    for step, metrics in rows:
        names = clean_names(metrics)
        named = ahead.new(step, known.new(step, {names[key]: value for key, value in metrics.items()}))
        fresh += [(step, name, storable(value)) for name, value in named.items()]
        ahead.mark(step, named)
    return fresh
