"""The one writer: an actor that owns the MLflow store, and carries errors and decisions between processes.

SQLite wants one writer on one node, MLflow is slow to import, and a restarted worker must not write a step twice. So one actor,
on the driver's node, holds the store; the driver, workers and trials talk to it. It ends with its run, or with the driver.

Notes at the desk, by key::

    fault/<run directory>     a fault that would come again, left by a worker of the run
    trial/<trial id>          a trial that has started: its run, its directory, its process (sealed)
    group/<run directory>     the placement group of a trial's workers
    claimed/<group id>        a placement group that some trial had
    before                    placement groups that were there before the sweep
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import ray
from rayseg.config import ExperimentConfig
from rayseg.errors import RaysegError
from rayseg.keeping import KeepingPlace
from rayseg.launch.keepers import Keepers
from rayseg.tracking import (
    Access,
    NullTracker,
    RunStatus,
    SweepView,
    Tracker,
    access_of,
    check_reachable,
    owner_is_alive,
    resolve_uri,
)

__all__ = ["Desk", "DeskStore", "DeskTold", "Echo", "asked", "desk_of", "opened_desk", "require_store"]

#: Desks of this process by directory; Tune pickles its callbacks, and a handle would outlive its cluster there.
_OPEN: dict[str, Any] = {}
#: Metrics of a step, or tags, which have none.
Told = tuple[int | None, dict[str, Any]]


class Desk:
    """Runs as an actor: see :func:`opened_desk`.

    Args:
        uri: of the MLflow store, resolved; None: nothing is recorded.
        experiment: its name.
        access: what lets the driver in; the node's own processes were started by somebody else.
    """

    def __init__(self, uri: str | None, experiment: str, access: Access) -> None:
        access.grant()
        self._store = None if uri is None else _store(uri, experiment)
        self._notes: dict[str, Any] = {}
        self._told: list[Told] = []
        self._keepers = Keepers()

    def record(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call a method of the store."""
        return None if self._store is None else getattr(self._store, method)(*args, **kwargs)

    def prepare(self) -> None:
        """Make the store's schema, and close runs whose driver died."""
        if self._store is not None:
            self._store.prepare()
            self._store.close_stale_runs(owner_is_alive)

    def post(self, key: str, value: Any) -> None:
        """Leave a note for somebody else."""
        self._notes[key] = value

    def take(self, key: str) -> Any:
        """The note under ``key``, which is gone then; None where there is none."""
        return self._notes.pop(key, None)

    def look(self, key: str) -> Any:
        """The note under ``key``, which stays; None where there is none."""
        return self._notes.get(key)

    def notes(self, prefix: str) -> dict[str, Any]:
        """Every note whose key begins so, by the rest of the key."""
        return {key.removeprefix(prefix): note for key, note in self._notes.items() if key.startswith(prefix)}

    def place(self, node: str, drivers: KeepingPlace) -> KeepingPlace:
        """Where decoded samples are kept on a node; on this one it is the driver's place."""
        return drivers if node == ray.get_runtime_context().get_node_id() else self._keepers.place(node)

    def close(self) -> None:
        """Remove what is kept on other nodes."""
        self._keepers.close()

    def tell(self, told: Told) -> None:
        """Take what the driver's terminal shall say."""
        self._told.append(told)

    def told(self) -> list[Told]:
        """What was told since the last call."""
        told, self._told = self._told, []
        return told


def _store(uri: str, experiment: str) -> Any:
    from rayseg.tracking import MlflowStore  # noqa: PLC0415  only the actor itself needs mlflow, and only where it records

    return MlflowStore(uri, experiment)


def require_store(config: ExperimentConfig) -> None:
    """Ask a server whether it lets us in, before Ray is started.

    Raises:
        TrackingError: nothing answers there, or it does not.
    """
    if config.tracking.mlflow is not None:
        check_reachable(resolve_uri(config.tracking.mlflow.uri, config.tracking.storage))


@contextmanager
def opened_desk(config: ExperimentConfig, directory: str) -> Iterator[Any]:
    """The desk of a run or a sweep, on this node, its store made; the handle may be given to workers.

    Args:
        config: says where is recorded.
        directory: of the run or the sweep.

    Raises:
        TrackingError: the store cannot be reached or written.
    """
    mlflow, uri = config.tracking.mlflow, None
    if mlflow is not None:
        uri = resolve_uri(mlflow.uri, config.tracking.storage)
    node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "scheduling_strategy": node, "max_concurrency": 8}
    desk = ray.remote(Desk).options(**options).remote(uri, "" if mlflow is None else mlflow.experiment, access_of(os.environ))
    _OPEN[directory] = desk
    try:
        asked(desk.prepare.remote())
        yield desk
    finally:
        del _OPEN[directory]
        with suppress(ray.exceptions.RayError):
            ray.get(desk.close.remote(), timeout=60)
        ray.kill(desk)


def desk_of(directory: str) -> Any:
    """The open desk of a sweep in this process."""
    return _OPEN[directory]


def asked(reference: Any, timeout_s: float | None = None) -> Any:
    """``ray.get``, with a fault of ours raised as itself and not as one of a task."""
    try:
        return ray.get(reference, timeout=timeout_s)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RaysegError):
            raise error.cause from None
        raise


class DeskTold(NullTracker):
    """What rank 0 measures and tags, told on the driver's terminal.

    Args:
        desk: handle of the actor.
    """

    def __init__(self, desk: Any) -> None:
        super().__init__()
        self._desk = desk

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Send them."""
        self._desk.tell.remote((step, dict(metrics)))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Send them."""
        self._desk.tell.remote((None, dict(tags)))


class Echo:
    """Passes on what was told at the desk, until it is closed.

    Args:
        desk: where it is told.
        tracker: of the driver's terminal.
    """

    def __init__(self, desk: Any, tracker: Tracker) -> None:
        self._desk = desk
        self._tracker = tracker
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rayseg-echo", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pass on what is left and stop."""
        self._done.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._done.wait(0.5):
            self._pass_on()
        self._pass_on()

    def _pass_on(self) -> None:
        for step, values in ray.get(self._desk.told.remote()):
            if step is None:
                self._tracker.set_tags(values)
            else:
                self._tracker.log_metrics(step, values)


class DeskStore:
    """The store's methods, spoken to through the desk.

    Args:
        desk: handle of the actor.
        timeout_s: longest wait for one call.
    """

    def __init__(self, desk: Any, timeout_s: float = 120.0) -> None:
        self._desk = desk
        self._timeout_s = timeout_s

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return asked(self._desk.record.remote(method, args, kwargs), self._timeout_s)

    def start_run(self, name: str, **kwargs: Any) -> str:
        """See ``MlflowStore.start_run``."""
        run_id: str = self._call("start_run", name, **kwargs)
        return run_id

    def log_batch(self, run_id: str, rows: list[tuple[int, dict[str, float]]]) -> None:
        """See ``MlflowStore.log_batch``."""
        self._call("log_batch", run_id, rows)

    def log_picture(self, run_id: str, name: str, step: int, png: bytes) -> None:
        """See ``MlflowStore.log_picture``."""
        self._call("log_picture", run_id, name, step, png)

    def log_artifact(self, run_id: str, path: str, data: bytes) -> None:
        """See ``MlflowStore.log_artifact``."""
        self._call("log_artifact", run_id, path, data)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """See ``MlflowStore.set_tags``."""
        self._call("set_tags", run_id, dict(tags))

    def finish(self, run_id: str, status: RunStatus) -> None:
        """See ``MlflowStore.finish``."""
        self._call("finish", run_id, status)

    def link(self, run_id: str, storage: str) -> str:
        """See ``MlflowStore.link``."""
        line: str = self._call("link", run_id, storage)
        return line

    def share_view(self, view: SweepView) -> str | None:
        """See ``MlflowStore.share_view``."""
        address: str | None = self._call("share_view", view)
        return address
