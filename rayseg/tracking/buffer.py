"""A tracker over a store that may be slow or far away: values are collected and written about once a second."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event, Lock, Thread
from typing import Protocol

from rayseg.errors import TrackingError
from rayseg.tracking.tracker import RunStatus

__all__ = ["MlflowTracker", "StoreLike"]


class StoreLike(Protocol):
    """What a tracker needs of a store: an ``MlflowStore``, or something that forwards to one."""

    def log_batch(self, run_id: str, rows: list[tuple[int, dict[str, float]]]) -> None:
        """Write metrics, ``(step, values)``, leaving out what is written already."""
        ...

    def log_picture(self, run_id: str, name: str, step: int, png: bytes) -> None:
        """Write a picture."""
        ...

    def log_artifact(self, run_id: str, path: str, data: bytes) -> None:
        """Write a file."""
        ...

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        ...

    def finish(self, run_id: str, status: RunStatus) -> None:
        """Close the run."""
        ...


class MlflowTracker:
    """A Tracker that buffers metrics and writes them from a thread of its own.

    A crash loses at most what was logged in the last ``flush_every_s`` seconds. While the store fails, rows are kept and tried
    again; when ``max_rows`` are waiting, logging raises: nothing is dropped in silence. Any thread may call.

    Args:
        store: where it is written.
        run_id: the run, already started.
        flush_every_s: seconds between writes.
        max_rows: rows, one per ``log_metrics``, that may wait.

    Raises:
        TrackingError: by ``log_metrics`` when too many rows wait; by ``flush`` and ``finish`` when the store fails.

    Example:
        >>> class Printing:
        ...     def log_batch(self, run_id, rows):
        ...         print(run_id, rows)
        ...
        ...     def finish(self, run_id, status):
        ...         print(run_id, status)
        >>> tracker = MlflowTracker(Printing(), "run7", flush_every_s=60)
        >>> tracker.log_metrics(1, {"train/loss": 0.7})
        >>> tracker.finish("FINISHED")
        run7 [(1, {'train/loss': 0.7})]
        run7 FINISHED
    """

    def __init__(self, store: StoreLike, run_id: str, *, flush_every_s: float = 1.0, max_rows: int = 10_000) -> None:
        self.run_id: str | None = run_id
        self._store = store
        self._run = run_id
        self._flush_every_s = flush_every_s
        self._max_rows = max_rows
        self._rows: list[tuple[int, dict[str, float]]] = []
        self._failure: Exception | None = None
        self._rows_lock = Lock()
        self._write_lock = Lock()
        self._stopped = Event()
        self._thread = Thread(target=self._keep_writing, name=f"tracker-{run_id}", daemon=True)
        self._thread.start()

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the values; they are written within ``flush_every_s``."""
        with self._rows_lock:
            if len(self._rows) >= self._max_rows:
                raise TrackingError(
                    f"run {self._run}: {len(self._rows)} rows wait to be written, at most {self._max_rows} may; "
                    f"the store says: {self._failure or 'nothing (it is slow)'}; repair it, or log less often"
                ) from self._failure
            self._rows.append((step, dict(metrics)))

    def log_picture(self, name: str, step: int, png: bytes) -> None:
        """Write a picture now."""
        self._store.log_picture(self._run, name, step, png)

    def log_artifact(self, path: str, data: bytes) -> None:
        """Write a file now."""
        self._store.log_artifact(self._run, path, data)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags now."""
        self._store.set_tags(self._run, tags)

    def flush(self) -> None:
        """Write what waits."""
        with self._write_lock:
            self._write()

    def finish(self, status: RunStatus) -> None:
        """Write what waits, stop the thread, close the run."""
        self._stopped.set()
        self._thread.join()
        try:
            self.flush()
        finally:
            self._store.finish(self._run, status)

    def _write(self) -> None:
        with self._rows_lock:
            rows = list(self._rows)
        if not rows:
            return
        self._store.log_batch(self._run, rows)
        with self._rows_lock:
            del self._rows[: len(rows)]

    def _keep_writing(self) -> None:
        while not self._stopped.wait(self._flush_every_s):
            try:
                self.flush()
                self._failure = None
            except Exception as failure:  # noqa: BLE001  the rows are kept and tried again; log_metrics raises when too many wait
                self._failure = failure
