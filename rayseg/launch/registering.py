"""A winner as a version in MLflow's registry; nothing here needs Ray."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rayseg.build import Components, Trained, export, load_trained
from rayseg.config import ExperimentConfig
from rayseg.engine.checkpoint import step_of
from rayseg.engine.history import History
from rayseg.errors import ConfigError, Problem
from rayseg.launch.winners import Winner, winner_of
from rayseg.tracking import resolve_uri

__all__ = ["Registered", "name_problems", "register", "register_once"]

_EXAMPLE_PX = (64, 96)
#: From a run of a confirmation to the storage: confirm, the search, the storage.
_ABOVE = 3
#: Tags of a version: digest of its checkpoint's manifest, which has those of all its files; and shape of its images.
_CONTENT, _TAKES = "rayseg.checkpoint", "rayseg.takes"


@dataclass(frozen=True)
class Registered:
    """A version in the registry.

    Args:
        name: of the registered model.
        version: of it.
        alias: that points to it, or None.
        winner: the checkpoint.
        uri: of the store.
        takes: shape of its images.
    """

    name: str
    version: str
    alias: str | None
    winner: Winner
    uri: str
    takes: str

    @property
    def model_uri(self) -> str:
        """What ``mlflow.pytorch.load_model`` and ``mlflow models serve`` take."""
        return f"models:/{self.name}@{self.alias}" if self.alias else f"models:/{self.name}/{self.version}"


def register(
    place: str | Path,
    name: str,
    *,
    alias: str | None = None,
    uri: str | None = None,
    size: tuple[int, int] | None = None,
    components: Components | None = None,
) -> Registered:
    """Register the model of a search, a run or a checkpoint in MLflow, as a program that needs torch and MLflow only.

    It takes images ``(N, 3, H, W)`` float32, RGB in 0-255 (normalisation is inside) and gives classes ``(N, H, W)`` int64. The
    program is that of ``rayseg.export``: compared with the model on real images before it is registered.

    Args:
        place: directory of a search that has ended, of a run, or of a checkpoint; which checkpoint of it: ``winner_of``.
        name: of the registered model; a new version is made where it exists.
        alias: that shall point to this version, such as ``champion``; None: none.
        uri: of the MLflow store; None: the one in which the run was recorded.
        size: height and width of all images, px; None: any, as far as the network permits.
        components: name -> callable given by value.

    Raises:
        ConfigError: a name or an alias that MLflow does not take.
        CheckpointError: there is no whole checkpoint.
        TrackingError: the store cannot be reached, or refuses.
        RaysegError: no program can be made of the model.

    Example:
        >>> register("runs/ohem", "streets", alias="champion").model_uri  # doctest: +SKIP
        'models:/streets@champion'
    """
    return _registered(winner_of(place), name, alias, uri=uri, size=size, components=components, once=False)


def register_once(directory: Path, name: str, *, alias: str | None = None, components: Components | None = None) -> Registered:
    """Register the winner of a search like :func:`register`, unless the name has a version of that checkpoint: then that one.

    A process that was killed after it had registered need not have written down which version it made. The store knows.

    Args:
        directory: of the search.
        name: of the registered model.
        alias: that shall point to the version; None: none.
        components: name -> callable given by value.

    Raises:
        ConfigError: a name or an alias that MLflow does not take.
        CheckpointError: there is no whole checkpoint.
        TrackingError: the store cannot be reached, or refuses.
        RaysegError: no program can be made of the model.

    Example:
        >>> register_once(Path("runs/ohem"), "streets", alias="champion").version  # doctest: +SKIP
        '1'
    """
    return _registered(winner_of(directory), name, alias, uri=None, size=None, components=components, once=True)


def _registered(
    winner: Winner,
    name: str,
    alias: str | None,
    *,
    uri: str | None,
    size: tuple[int, int] | None,
    components: Components | None,
    once: bool,
) -> Registered:
    if problems := name_problems(name, alias):
        raise ConfigError(problems, where="registration")
    trained = load_trained(winner.checkpoint, components=components)
    where = _store_of(trained.config, winner, uri)
    from rayseg.tracking import MlflowStore  # noqa: PLC0415  its import takes seconds

    experiment = "rayseg" if trained.config.tracking.mlflow is None else trained.config.tracking.mlflow.experiment
    store = MlflowStore(where, experiment)
    store.prepare()
    content = {_CONTENT: hashlib.sha256((winner.checkpoint / "manifest.json").read_bytes()).hexdigest()}
    if once and (made := store.registered(name, content, alias=alias)) is not None:
        version, tags = made
        return Registered(name, version, alias, winner, where, tags[_TAKES])
    with tempfile.TemporaryDirectory() as folder:
        takes = _write(trained, Path(folder) / "model", size)
        tags = {**_tags(winner), **content, _TAKES: takes}
        version = store.register(Path(folder) / "model", name, alias=alias, run_id=_run_id(winner), tags=tags)
    return Registered(name, version, alias, winner, where, takes)


def name_problems(name: str, alias: str | None) -> list[Problem]:
    """Why MLflow would not take a name or an alias.

    Example:
        >>> [str(each) for each in name_problems("streets", "v2")]
        ["alias: got 'v2'; MLflow keeps 'latest' and v1, v2, ... for itself; choose a word such as champion"]
    """
    problems = []
    if not re.fullmatch(r"[^/:.%\"']+", name):
        problems.append(
            Problem("name", f"got {name!r}; a registered model has a name without / : . % and quotes, such as streets")
        )
    if alias is not None and not re.fullmatch(r"[\w-]+", alias, re.ASCII):
        problems.append(Problem("alias", f"got {alias!r}; give letters, digits, _ and -, such as champion"))
    elif alias is not None and re.fullmatch(r"latest|v\d+", alias, re.IGNORECASE):
        problems.append(
            Problem("alias", f"got {alias!r}; MLflow keeps 'latest' and v1, v2, ... for itself; choose a word such as champion")
        )
    return problems


def _store_of(config: ExperimentConfig, winner: Winner, uri: str | None) -> str:
    """The store: as said, as in training, or the database above the run; a trial's storage is the directory of its search."""
    told = uri or (config.tracking.mlflow.uri if config.tracking.mlflow is not None else None)
    if told or os.environ.get("MLFLOW_TRACKING_URI"):
        return resolve_uri(told, config.tracking.storage)
    beside = next((each for each in winner.run.parents[:_ABOVE] if (each / "mlflow.db").is_file()), None)
    if beside is None:
        text = f"nothing above {winner.run} is an MLflow store; say which (--uri sqlite:////data/runs/mlflow.db or http://host:5000)"
        raise ConfigError([Problem("uri", text)], where="registration")
    return resolve_uri(None, str(beside))


def _write(trained: Trained, folder: Path, size: tuple[int, int] | None) -> str:
    from rayseg.tracking.mlflow.models import write_model  # noqa: PLC0415  its import takes seconds

    program = folder.parent / "model.pt2"
    done = export(trained, program, returns="classes", size=size)
    assert done.sizes is not None
    height, width = done.sizes.nearest(_EXAMPLE_PX)
    example = np.random.default_rng(0).integers(0, 256, (2, 3, height, width)).astype(np.float32)
    write_model(program, folder, example, about=done.about, fixed=done.sizes.fixed is not None)
    return str(done.sizes)


def _run_id(winner: Winner) -> str | None:
    path = winner.run / "mlflow_run_id"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def _tags(winner: Winner) -> dict[str, str]:
    """Why it was registered, and its scores."""
    rows = History(winner.run / "metrics.jsonl").rows()
    at_step = [metrics for step, metrics in rows if step == step_of(winner.checkpoint)]
    scores = {name: f"{value:.4f}" for name, value in (at_step[-1] if at_step else {}).items() if name.count("/") == 1}
    return {"rayseg.winner": winner.why, **scores}
