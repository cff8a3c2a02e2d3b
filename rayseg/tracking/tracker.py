"""Where rank 0 records: one protocol, and how several are one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from rayseg.errors import TrackingError

__all__ = ["NullTracker", "RunStatus", "Tracker", "TrackerGroup"]

#: How a run ended.
RunStatus = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker(Protocol):
    """What the loop and the launcher need of a record. Only rank 0 has one.

    Steps are optimizer steps, counted from 1. A step that was recorded before a restart is not recorded again.
    """

    run_id: str | None

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record numbers at a step, such as ``{"train/loss": 0.7}``."""
        ...

    def log_picture(self, name: str, step: int, png: bytes) -> None:
        """Record a picture, the bytes of a PNG file, under a name that stays the same over the steps."""
        ...

    def log_artifact(self, path: str, data: bytes) -> None:
        """Keep a file, such as ``config.yaml``, beside the run; a file of that path is replaced."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run."""
        ...

    def flush(self) -> None:
        """Return when everything logged so far is stored."""
        ...

    def finish(self, status: RunStatus) -> None:
        """Flush and close the run."""
        ...


class NullTracker:
    """Records nothing.

    Example:
        >>> NullTracker().log_metrics(1, {"train/loss": 0.7})
    """

    def __init__(self) -> None:
        self.run_id: str | None = None

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def log_picture(self, name: str, step: int, png: bytes) -> None:
        """Nothing."""

    def log_artifact(self, path: str, data: bytes) -> None:
        """Nothing."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""

    def finish(self, status: RunStatus) -> None:
        """Nothing."""


class TrackerGroup:
    """Several trackers as one.

    Every tracker is served, also after another one failed; then the failures are raised together.

    Args:
        trackers: the trackers, in the order in which they are served. ``run_id`` is the first that is not None.

    Raises:
        TrackingError: by each method, after all trackers were served, if at least one of them failed.

    Example:
        >>> group = TrackerGroup([NullTracker(), NullTracker()])
        >>> group.log_metrics(1, {"train/loss": 0.7})
        >>> group.run_id is None
        True
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = tuple(trackers)
        self.run_id = next((tracker.run_id for tracker in self._trackers if tracker.run_id is not None), None)

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record numbers at a step."""
        self._each(lambda tracker: tracker.log_metrics(step, metrics))

    def log_picture(self, name: str, step: int, png: bytes) -> None:
        """Record a picture."""
        self._each(lambda tracker: tracker.log_picture(name, step, png))

    def log_artifact(self, path: str, data: bytes) -> None:
        """Keep a file."""
        self._each(lambda tracker: tracker.log_artifact(path, data))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self._each(lambda tracker: tracker.set_tags(tags))

    def flush(self) -> None:
        """Return when every tracker has stored what it was given."""
        self._each(lambda tracker: tracker.flush())

    def finish(self, status: RunStatus) -> None:
        """Close every tracker's run."""
        self._each(lambda tracker: tracker.finish(status))

    def _each(self, serve: Callable[[Tracker], None]) -> None:
        failures: list[Exception] = []
        for tracker in self._trackers:
            try:
                serve(tracker)
            except Exception as failure:  # noqa: BLE001  the others are served first, then it is raised below
                failures.append(failure)
        if failures:
            told = "; ".join(f"{type(failure).__name__}: {failure}" for failure in failures)
            raise TrackingError(f"{len(failures)} of {len(self._trackers)} trackers failed: {told}") from failures[0]
