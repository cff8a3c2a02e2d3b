"""How fast a run is."""

from __future__ import annotations

import time

from rayseg.collective import world_size

__all__ = ["Clock"]


class Clock:
    """Steps and images per second since the last reading, evaluations left out."""

    def __init__(self) -> None:
        self._steps = self._images = 0
        self._start = time.perf_counter()

    def add(self, images: int) -> None:
        """Count one step of so many images of this worker."""
        self._steps += 1
        self._images += images

    def restart(self) -> None:
        """Forget what was counted."""
        self._steps = self._images = 0
        self._start = time.perf_counter()

    def read(self) -> dict[str, float]:
        """Rates by metric name, over all workers; empty where no step was counted. Starts anew."""
        seconds = max(time.perf_counter() - self._start, 1e-9)
        rates = {"perf/steps_per_s": self._steps / seconds, "perf/images_per_s": self._images * world_size() / seconds}
        self.restart()
        return rates if rates["perf/steps_per_s"] > 0 else {}
