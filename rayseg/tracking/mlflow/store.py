"""The MLflow store: runs, their numbers and files. Everything goes through a client with an explicit URI.

One process writes to a store (the launcher's tracker actor, or a single run's rank 0), so it knows the last step of every
metric and writes none twice. NaN is kept as NaN; so is infinity, which MLflow would store as 1.8e308.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Final

from mlflow.entities import Metric, Param, RunTag

from rayseg.errors import TrackingError
from rayseg.tracking.calls import told
from rayseg.tracking.mlflow.opening import opened
from rayseg.tracking.mlflow.reading import PARENT_TAG, all_runs, child_called, stored_sweep
from rayseg.tracking.mlflow.registry import add_version, find_version
from rayseg.tracking.naming import chunks, clean_names, newest_path, param_text, picture_path, short_tags, shorten
from rayseg.tracking.owner import PID_TAG, user_name
from rayseg.tracking.runs import StoredRun, StoredSweep, child_rows, stored_run
from rayseg.tracking.shared_view import VIEW_TAG, SweepView, view_text
from rayseg.tracking.steps import LastSteps, fresh_values
from rayseg.tracking.tracker import RunStatus
from rayseg.tracking.ui import link_line, view_url
from rayseg.tracking.uri import check_reachable, without_password

__all__ = ["MlflowStore"]

_MAX_PARAM_CHARS: Final = 6000
_METRICS_PER_CALL: Final = 1000
_PARAMS_PER_CALL: Final = 100
#: A status is replaced by a better one only; a run that is continued is RUNNING again.
_RANK: Final = {"RUNNING": 0, "SCHEDULED": 0, "KILLED": 1, "FAILED": 2, "FINISHED": 3}


class MlflowStore:
    """Runs of one experiment in one MLflow store.

    Args:
        uri: absolute, as ``resolve_uri`` gives it.
        experiment: name of the experiment; made if it is not there.

    Raises:
        TrackingError: by every method, when the store cannot be reached or refuses.

    Example:
        >>> store = MlflowStore(resolve_uri(None, "runs"), "camvid")  # doctest: +SKIP
        >>> run_id = store.start_run("baseline", params={"optim.lr": 0.01}, tags={}, owner=owner_tags())  # doctest: +SKIP
        >>> store.log_metrics(run_id, 1, {"train/loss": 0.7})  # doctest: +SKIP
        >>> store.finish(run_id, "FINISHED")  # doctest: +SKIP
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self.uri = uri
        self.experiment = experiment
        self._lock = RLock()
        self._client: Any = None
        self._experiment_id = ""
        self._where = f"{without_password(uri)}, experiment {experiment!r}"
        self._steps: dict[str, LastSteps] = {}

    @property
    def experiment_id(self) -> str:
        """MLflow's number of the experiment."""
        self.prepare()
        return self._experiment_id

    def prepare(self) -> None:
        """Make the schema and the experiment where they are missing; several processes may call at once.

        MLflow does not lock the making of its schema, and processes that open a new database together break it.
        """
        with self._lock:
            if self._client is None:
                check_reachable(self.uri)
                with told(self._where, "open the store"):
                    self._client, self._experiment_id = opened(self.uri, self.experiment, self._where)

    @contextmanager
    def _using(self, what: str) -> Iterator[Any]:
        self.prepare()
        with self._lock, told(self._where, what):
            yield self._client

    def start_run(
        self,
        name: str,
        *,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent_run_id: str | None = None,
        run_id: str | None = None,
        owner: Mapping[str, str] | None = None,
        begun: bool = False,
    ) -> str:
        """Start a run, or continue one.

        A run that is continued is RUNNING again and gets the tags; its parameters stay as they are. A parameter of more than
        6000 characters is cut, and kept whole as the artifact ``params/<name>.txt``.

        Args:
            name: what people call it.
            params: flat dotted leaves of the config.
            tags: what the run is, for people and filters.
            parent_run_id: the sweep's run.
            run_id: of the run to continue.
            owner: tags of the process whose death means that the run is dead, as ``owner_tags`` gives them.
            begun: it may be there under its name: who began it may have been killed before its id was written down.

        Returns:
            The run's id.
        """
        labels = {**tags, **(owner or {}), **({PARENT_TAG: parent_run_id} if parent_run_id else {})}
        with self._using(f"start run {name!r}") as client:
            if run_id is not None:
                self._continue(client, run_id, labels)
                return run_id
            found = child_called(client, self._experiment_id, name, parent_run_id) if begun and parent_run_id else None
            if found is not None:  # its parameters may be half there
                self._continue(client, found, labels)
                self._log_params(client, found, params)
                return found
            first = {"mlflow.user": user_name(), **short_tags(labels)}
            created: str = client.create_run(self._experiment_id, tags=first, run_name=name).info.run_id
            self._steps[created] = LastSteps()
            self._log_params(client, created, params)
            return created

    def _continue(self, client: Any, run_id: str, tags: Mapping[str, str]) -> None:
        run = client.get_run(run_id)
        if run.info.lifecycle_stage == "deleted":
            raise TrackingError(
                f"{self._where}: run {run_id} is deleted and cannot be continued; restore it, or start a new run"
            )
        client.update_run(run_id, status="RUNNING")
        self.set_tags(run_id, tags)

    def _log_params(self, client: Any, run_id: str, params: Mapping[str, Any]) -> None:
        names = clean_names(params)
        texts = {names[key]: param_text(value) for key, value in params.items()}
        places = {name: f"params/{name}.txt" for name, text in texts.items() if len(text) > _MAX_PARAM_CHARS}
        for name, place in places.items():
            self.log_artifact(run_id, place, texts[name].encode())
        kept = [Param(name, shorten(text, _MAX_PARAM_CHARS, places.get(name, ""))) for name, text in texts.items()]
        for piece in chunks(kept, _PARAMS_PER_CALL):
            client.log_batch(run_id, params=piece)

    def log_metrics(self, run_id: str, step: int, metrics: Mapping[str, float]) -> None:
        """Write metrics at a step; a metric that has this step or a later one already is left out."""
        self.log_batch(run_id, [(step, dict(metrics))])

    def log_batch(self, run_id: str, rows: list[tuple[int, dict[str, float]]]) -> None:
        """Write several rows ``(step, metrics)`` in few calls, leaving out what is written already."""
        with self._using(f"log metrics of run {run_id}") as client:
            known = self._known_steps(client, run_id)
            now_ms = int(time.time() * 1000)
            for piece in chunks(fresh_values(rows, known), _METRICS_PER_CALL):
                client.log_batch(run_id, metrics=[Metric(name, value, now_ms, step) for step, name, value in piece])
                for step, name, _ in piece:
                    known.mark(step, [name])

    def _known_steps(self, client: Any, run_id: str) -> LastSteps:
        if run_id not in self._steps:
            stored = client.get_run(run_id).data.to_proto().metrics
            self._steps[run_id] = LastSteps({metric.key: int(metric.step) for metric in stored})
        return self._steps[run_id]

    def last_step(self, run_id: str) -> int:
        """The last step of any metric of the run; 0 if it has none."""
        with self._using(f"read run {run_id}") as client:
            return self._known_steps(client, run_id).last

    def log_artifact(self, run_id: str, path: str, data: bytes) -> None:
        """Keep a file, ``path`` relative to the run's artifacts."""
        with self._using(f"log artifact {path!r} of run {run_id}") as client, tempfile.TemporaryDirectory() as folder:
            place = Path(path)
            local = Path(folder) / place.name
            local.write_bytes(data)
            parent = place.parent.as_posix()
            client.log_artifact(run_id, str(local), None if parent == "." else parent)

    def log_picture(self, run_id: str, name: str, step: int, png: bytes) -> None:
        """Keep a picture as the artifact ``pictures/<name>/step_000300.png``, and the newest also as ``<name>.png``.

        MLflow's comparison shows files of one name side by side, but only those at the top. (Its own image charts shrink a
        picture to 256 pixels and print all parameters above it.)
        """
        place = picture_path(name, step)
        self.log_artifact(run_id, place, png)
        self.log_artifact(run_id, newest_path(place), png)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; one of more than 8000 characters is cut, and says so."""
        with self._using(f"set tags of run {run_id}") as client:
            for piece in chunks([RunTag(key, text) for key, text in short_tags(tags).items()], _PARAMS_PER_CALL):
                client.log_batch(run_id, tags=piece)

    def finish(self, run_id: str, status: RunStatus) -> None:
        """Close the run. Said again, or said worse (KILLED after FINISHED), it changes nothing."""
        with self._using(f"close run {run_id}") as client:
            now = client.get_run(run_id).info.status
            if _RANK[status] > _RANK.get(now, 0):
                client.set_terminated(run_id, status=status)
            self._steps.pop(run_id, None)

    def register(self, folder: Path, name: str, *, alias: str | None, run_id: str | None, tags: Mapping[str, str]) -> str:
        """Register what :func:`write_model` wrote, as a new version, beside the run that trained it.

        Args:
            folder: of the model.
            name: of the registered model; made if it is not there.
            alias: that shall point to this version, and to no other one any more; None: none.
            run_id: the run, or None.
            tags: of the version.

        Returns:
            The version.
        """
        with self._using(f"register model {name!r}") as client:
            return add_version(client, self._experiment_id, folder, name, alias=alias, run_id=run_id, tags=short_tags(tags))

    def registered(self, name: str, tags: Mapping[str, str], *, alias: str | None) -> tuple[str, Mapping[str, str]] | None:
        """The newest version of a registered model that has these tags, with all of its own; None where there is none.

        Args:
            name: of the registered model.
            tags: that it must have.
            alias: that shall point to it, and to no other one any more; None: none.
        """
        with self._using(f"read model {name!r}") as client:
            return find_version(client, name, short_tags(tags), alias=alias)

    def link(self, run_id: str, storage: str) -> str:
        """A line that tells where the run is looked at; see ``link_line``."""
        return link_line(self.uri, self.experiment_id, run_id, storage)

    def share_view(self, view: SweepView) -> str | None:
        """Keep how the page of runs shows a search, under the id of its run; a view of that id is replaced.

        Returns:
            The page's address; None where the view is too long to be kept.
        """
        text, key = view_text(view, int(time.time() * 1000)), view.parent_run_id
        with self._using(f"keep the view {view.name!r}") as client:
            if text is None:
                return None
            client.set_experiment_tag(self._experiment_id, f"{VIEW_TAG}{key}", text)
        return view_url(self.uri, self._experiment_id, key)

    def open_runs(self, tag_filter: Mapping[str, str] | None = None) -> list[StoredRun]:
        """Runs of the experiment that say RUNNING and have all tags of ``tag_filter``."""
        wanted = dict(tag_filter or {}).items()
        with self._using("list the open runs") as client:
            runs = all_runs(client, self._experiment_id, "attributes.status = 'RUNNING'")
        return [stored_run(run) for run in runs if wanted <= run.data.tags.items()]

    def close_stale_runs(self, is_alive: Callable[[Mapping[str, str]], bool]) -> list[str]:
        """Mark as KILLED the open runs whose owner is dead.

        Args:
            is_alive: whether the owner that a run's tags name is at work, such as ``owner_is_alive``. Runs without owner
                tags are somebody else's and are left alone.

        Returns:
            Ids of the runs that were closed.
        """
        stale = [run.run_id for run in self.open_runs() if PID_TAG in run.tags and not is_alive(run.tags)]
        for run_id in stale:
            self.finish(run_id, "KILLED")
        return stale

    def leaderboard(self, parent_run_id: str) -> list[dict[str, Any]]:
        """The child runs of a sweep, in the order of their start.

        Returns:
            One row per child: ``run_id``, ``name``, the parameters in which the children differ, ``step`` (the last one),
            ``status``, and the last value of every metric, under its own name.
        """
        with self._using(f"read the children of run {parent_run_id}") as client:
            runs = all_runs(client, self._experiment_id, f"tags.`{PARENT_TAG}` = '{parent_run_id}'")
        return child_rows(runs)

    def earlier_sweep(self, name: str) -> StoredSweep | None:
        """A sweep of the experiment, with its trials; None where there is none.

        Args:
            name: of its run, of which the newest is meant, or its id.
        """
        with self._using(f"read sweep {name!r}") as client:
            return stored_sweep(client, self._experiment_id, name)
