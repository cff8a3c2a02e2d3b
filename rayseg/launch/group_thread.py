"""``fit`` of a trainer, beside the thread that speaks to Tune."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import ray

__all__ = ["GroupThread"]


class GroupThread(threading.Thread):
    """Runs a group of workers until it ends; started at once.

    Args:
        fit: returns when the group has ended.
    """

    def __init__(self, fit: Callable[[], Any]) -> None:
        super().__init__(name="rayseg-group", daemon=True)
        self._fit = fit
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Keep what went wrong for the thread that asks."""
        try:
            self._fit()
        except BaseException as error:
            self._error = error

    def evaluations(self, gate: Any) -> Iterator[dict[str, Any]]:
        """Metrics of each evaluation; the workers go on when the next is asked for.

        Args:
            gate: the actor at which the workers wait.

        Raises:
            BaseException: what the group ended with.
        """
        while True:
            alive = self.is_alive()
            metrics = ray.get(gate.next.remote(0.5))
            if metrics is not None:
                yield metrics
                ray.get(gate.answer.remote(True))
            elif not alive:
                break
        if self._error is not None:
            raise self._error
