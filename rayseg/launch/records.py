"""Where a run is recorded: its MLflow run, opened by the driver, and what the process of rank 0 writes itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayseg.build import worker_counts
from rayseg.config import ExperimentConfig, flatten, to_yaml
from rayseg.report import shortest_endings
from rayseg.tracking import (
    MlflowTracker,
    RunStatus,
    StoreLike,
    Tracker,
    TrackerGroup,
    WandbTracker,
    owner_tags,
    resolve_uri,
    source_tags,
)

if TYPE_CHECKING:
    from rayseg.tracking import MlflowStore

__all__ = ["closed_if_raised", "closing", "finisher", "open_record", "open_store", "own_trackers", "run_tags", "run_tracker"]


def open_store(config: ExperimentConfig) -> MlflowStore | None:
    """The store of a config, its schema made; None where MLflow is off.

    Raises:
        TrackingError: it cannot be reached or written.
    """
    if config.tracking.mlflow is None:
        return None
    from rayseg.tracking import MlflowStore  # noqa: PLC0415  trials record through the desk and need no mlflow

    store = MlflowStore(resolve_uri(config.tracking.mlflow.uri, config.tracking.storage), config.tracking.mlflow.experiment)
    store.prepare()
    return store


def open_record(
    store: StoreLike | None,
    config: ExperimentConfig,
    directory: Path,
    *,
    tags: Mapping[str, str] | None = None,
    parent_run_id: str | None = None,
    owner: Mapping[str, str] | None = None,
    searched: Sequence[str] = (),
    begun: bool = False,
) -> str | None:
    """Start the MLflow run of a directory, or continue the one that it belongs to; its source is what was called here.

    Args:
        store: where.
        config: of the run; its leaves become parameters.
        directory: of the run.
        tags: more tags.
        parent_run_id: of the sweep.
        owner: tags of the process whose death ends the run; None: this one.
        searched: keys that also become parameters ``Searched/...``, before all others: MLflow's parallel coordinates and its
            other charts begin with the first that differ.
        begun: a process may have started it and been killed before it wrote the id down.
    """
    if store is None:
        return None
    path = directory / "mlflow_run_id"
    known = path.read_text(encoding="utf-8").strip() if path.is_file() else None
    run_id: str = store.start_run(  # type: ignore[attr-defined]
        str(config.tracking.name),
        params={**_searched(flatten(config), searched), **flatten(config)},
        tags={**run_tags(config), **config.tracking.tags, **(tags or {})},
        parent_run_id=parent_run_id,
        run_id=known,
        owner={**owner_tags(), **source_tags()} if owner is None else owner,
        begun=begun,
    )
    if known is None:
        path.write_text(run_id, encoding="utf-8")
        store.log_artifact(run_id, "config.yaml", (directory / "config.yaml").read_bytes())
    return run_id


def _searched(leaves: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Searched values by their shortest names; a part of a config by its type, what is not there is left out."""
    names = shortest_endings(keys)
    values = {key: leaves.get(key, leaves.get(f"{key}.type")) for key in keys}
    return {f"Searched/{names[key]}": value for key, value in values.items() if value is not None}


@contextmanager
def closing(finish: Callable[[RunStatus], None]) -> Iterator[None]:
    """Close a run when the block ends: FINISHED, KILLED where somebody ended it, FAILED otherwise.

    Args:
        finish: closes it.
    """
    status: RunStatus = "FAILED"
    try:
        yield
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        finish(status)


def finisher(store: StoreLike | None, run_id: str | None) -> Callable[[RunStatus], None]:
    """Closes a run of the store; does nothing where none is recorded."""

    def finish(status: RunStatus) -> None:
        if store is not None and run_id is not None:
            store.finish(run_id, status)

    return finish


def run_tags(config: ExperimentConfig) -> dict[str, str]:
    """What people filter by."""
    return {
        "rayseg.model": config.model.type,
        "rayseg.dataset": config.data.dataset.type,
        "rayseg.losses": " + ".join(f"{term.weight:g} {name}" for name, term in config.losses.items()),
        "rayseg.sampling": "none" if config.sampling is None else config.sampling.type,
        "rayseg.workers": "-".join(str(each) for each in worker_counts(config)),
    }


def own_trackers(config: ExperimentConfig, directory: Path, *, group: str | None = None) -> list[Tracker]:
    """Trackers that write from the process of rank 0, and need no desk: TensorBoard and W&B, where the config asks for them.

    Args:
        config: of the run; told to a tracker that has nothing yet.
        directory: of the run, which every node sees.
        group: name of the sweep; None in a single run.

    Raises:
        TrackingError: W&B cannot be reached, or refuses.
    """
    opened: list[Tracker] = []
    events, wandb = directory / "tensorboard", config.tracking.wandb
    with closed_if_raised(opened):
        if config.tracking.tensorboard:
            from rayseg.tracking import TensorBoardTracker  # noqa: PLC0415  its import takes seconds

            known = events.is_dir()
            opened.append(TensorBoardTracker(events))
            _introduce(opened[-1], config, known=known)
        if wandb is not None:
            known = (directory / "wandb.json").is_file()
            own = wandb.model_dump() | {"group": wandb.group or group}
            opened.append(WandbTracker(directory, name=str(config.tracking.name), params=flatten(config), **own))
            _introduce(opened[-1], config, known=known)
    return opened


def _introduce(tracker: Tracker, config: ExperimentConfig, *, known: bool) -> None:
    """Say what the run is, to a tracker that has nothing of it yet."""
    if not known:
        tracker.log_artifact("config.yaml", to_yaml(config.to_dict()).encode())
        tracker.set_tags({**run_tags(config), **config.tracking.tags})


@contextmanager
def closed_if_raised(trackers: Sequence[Tracker]) -> Iterator[None]:
    """Around what comes before a run: trackers that are open close as FAILED when it raises.

    Args:
        trackers: may grow inside.
    """
    try:
        yield
    except BaseException:
        TrackerGroup(trackers).finish("FAILED")
        raise


def run_tracker(store: StoreLike | None, run_id: str | None, own: Sequence[Tracker] = ()) -> Tracker:
    """Where rank 0 records: the MLflow run, and the trackers of its own process."""
    trackers: list[Tracker] = []
    if store is not None and run_id is not None:
        trackers.append(MlflowTracker(store, run_id))
    return TrackerGroup([*trackers, *own])
