"""A hook that ends a run whose score has stopped to improve, in the words of mmengine's ``EarlyStoppingHook``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rayseg.errors import ConfigError, Problem

if TYPE_CHECKING:
    from rayseg.engine.loop import Fit

__all__ = ["EarlyStopping", "better_of"]


_FRACTIONS = frozenset({"IoU", "Acc", "aAcc", "Dice", "Fscore", "Precision", "Recall", "BoundaryIoU"})


def better_of(metric: str) -> Literal["max", "min"] | None:
    """Whether more or less of a metric of ours is better; None for a name that we do not know.

    Example:
        >>> better_of("val/loss/ce"), better_of("val/IoU/car"), better_of("val/own")
        ('min', 'max', None)
    """
    kind = metric.split("/")[1] if metric.startswith("val/") else ""
    if kind == "loss":
        return "min"
    return "max" if kind.removeprefix("m") in _FRACTIONS else None


@dataclass
class EarlyStopping:
    """Ends the run when the monitored metric did not improve for some evaluations (Prechelt 1998).

    An evaluation improves when it is better than the best so far by more than ``min_delta``.

    Args:
        monitor: a metric of the evaluation.
        mode: whether more or less of it is better (mmengine's ``rule``: greater, less); None: by its name.
        patience: evaluations in a row without an improvement after which the run ends.
        min_delta: an improvement is more than this.
        threshold: the run also ends when the metric is better than this (``stopping_threshold``).
        check_finite: the run also ends when the metric is not finite.

    Raises:
        ConfigError: an argument out of range, or no mode for a metric of an unknown name.

    Example:
        >>> stopping = EarlyStopping(patience=2)
        >>> [stopping.reason(value) for value in (0.5, 0.4, 0.5)]
        [None, None, 'val/mIoU did not improve on 0.5 in 2 evaluations']
    """

    monitor: str = "val/mIoU"
    mode: Literal["max", "min"] | None = None
    patience: int = 5
    min_delta: float = 0.0
    threshold: float | None = None
    check_finite: bool = True
    best: float | None = field(default=None, init=False)
    waited: int = field(default=0, init=False)

    #: After hooks that add metrics.
    priority = "LOWEST"

    def __post_init__(self) -> None:
        unknown = self.mode is None and better_of(self.monitor) is None
        wrong = {
            "mode": f"say max or min: whether more of {self.monitor!r} is better is not known" if unknown else None,
            "patience": None if self.patience >= 1 else f"must be 1 or more, got {self.patience!r}",
            "min_delta": None if self.min_delta >= 0 else f"must be 0 or more, got {self.min_delta!r}",
        }
        if problems := [Problem(path, message) for path, message in wrong.items() if message]:
            raise ConfigError(problems, "early_stopping")

    def on_eval(self, run: Fit, metrics: Mapping[str, float]) -> None:
        """Look at the metric, the same on every rank.

        Raises:
            ConfigError: there is no such metric.
        """
        if self.monitor not in metrics:
            known = ", ".join(name for name in metrics if name.count("/") == 1)
            raise ConfigError([Problem("monitor", f"no metric is called {self.monitor!r}; there are {known}, ...")], "hooks")
        reason = self.reason(float(metrics[self.monitor]))
        if reason is not None:
            run.stop(reason)

    def reason(self, value: float) -> str | None:
        """Why the run ends after an evaluation with this value; None: it goes on."""
        if not math.isfinite(value):
            return f"{self.monitor} is {value:g}" if self.check_finite else self._wait()
        if self.threshold is not None and self._better(value, self.threshold):
            return f"{self.monitor} reached {value:.6g}, past the threshold of {self.threshold:g}"
        if self.best is not None and not self._better(value, self.best, by=self.min_delta):
            return self._wait()
        self.best, self.waited = value, 0
        return None

    def _better(self, value: float, other: float, by: float = 0.0) -> bool:
        more = (self.mode or better_of(self.monitor)) == "max"
        return value - by > other if more else value + by < other

    def _wait(self) -> str | None:
        self.waited += 1
        if self.waited < self.patience:
            return None
        best = "nothing" if self.best is None else f"{self.best:.6g}"
        return f"{self.monitor} did not improve on {best} in {self.waited} evaluations"

    def state_dict(self) -> dict[str, Any]:
        """The best value, and how long ago it was."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.best, self.waited = state["best"], state["waited"]
