"""Runs in Weights & Biases. The only module that imports wandb, when a run is opened."""

from __future__ import annotations

import importlib
import io
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image

from rayseg.tracking.calls import told
from rayseg.tracking.steps import LastSteps
from rayseg.tracking.tracker import RunStatus

__all__ = ["WandbTracker"]

#: What ``finish`` tells: 0 is a finished run, 255 one that somebody ended.
_EXIT_CODES: Final[Mapping[RunStatus, int]] = {"FINISHED": 0, "FAILED": 1, "KILLED": 255}
#: Beside the run: its id, and the last step of every metric.
_RECORD = "wandb.json"


class WandbTracker:
    """Numbers, pictures and files of one run, under the names that every tracker uses.

    The optimizer step is the metric ``step``, over which everything is drawn: W&B's own counter only rises, so a run that
    repeats steps after a restart would lose what is new in them. A directory that had a run continues it.

    Args:
        directory: of the run; W&B's own files and ``wandb.json`` go there.
        name: what people call it.
        project: W&B's.
        entity: user or team; None: the account's own.
        group: of runs, such as a sweep's name.
        mode: ``online``, ``offline`` (to be sent later by ``wandb sync``) or ``disabled``.
        params: flat leaves of the config.
        module: stands for ``wandb``, in tests.

    Raises:
        TrackingError: by each method, when W&B refuses.

    Example:
        >>> WandbTracker(Path("runs/first"), name="first", mode="offline").log_metrics(1, {"a": 0.7})  # doctest: +SKIP
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str,
        project: str = "rayseg",
        entity: str | None = None,
        group: str | None = None,
        mode: str = "online",
        params: Mapping[str, Any] | None = None,
        module: Any = None,
    ) -> None:
        self._record = directory / _RECORD
        known = json.loads(self._record.read_text(encoding="utf-8")) if self._record.is_file() else {}
        self.run_id: str | None = str(known.get("id") or secrets.token_hex(4))
        self._steps = LastSteps(known.get("steps"))
        self._where = f"W&B project {project!r}, run {name!r}"
        directory.mkdir(parents=True, exist_ok=True)
        with told(self._where, "start the run"):
            self._wandb = importlib.import_module("wandb") if module is None else module
            own = {"project": project, "entity": entity, "group": group, "name": name, "id": self.run_id, "mode": mode}
            self._run = self._wandb.init(
                **own, config=dict(params or {}), dir=str(directory), resume="allow", reinit="create_new"
            )
            self._run.define_metric("*", step_metric="step")
        self._remember()

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Hand over what is new at this step."""
        self._log(step, self._steps.new(step, metrics))

    def log_picture(self, name: str, step: int, png: bytes) -> None:
        """Hand over a picture, if it is new at this step."""
        if self._steps.is_new(step, name):
            self._log(step, {name: self._wandb.Image(Image.open(io.BytesIO(png)))})

    def log_artifact(self, path: str, data: bytes) -> None:
        """Write a file below ``rayseg`` in the run's files, which W&B keeps; it has a ``config.yaml`` of its own beside."""
        target = Path(self._run.dir) / "rayseg" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """W&B's tags are words without a value: ours are entries of its config, each one alone, so that others stay."""
        with told(self._where, "set tags"):
            self._run.config.update({f"tags.{key}": text for key, text in tags.items()}, allow_val_change=True)

    def flush(self) -> None:
        """Nothing: W&B sends from a process of its own."""

    def finish(self, status: RunStatus) -> None:
        """Return when everything is sent, or on disk where the mode is ``offline``."""
        with told(self._where, "close the run"):
            self._run.finish(exit_code=_EXIT_CODES[status])

    def _log(self, step: int, values: Mapping[str, Any]) -> None:
        if not values:
            return
        with told(self._where, "log"):
            self._run.log({"step": step, **values})
        self._steps.mark(step, values)
        self._remember()

    def _remember(self) -> None:
        staged = self._record.with_suffix(".new")
        staged.write_text(json.dumps({"id": self.run_id, "steps": self._steps.known}), encoding="utf-8")
        staged.replace(self._record)
