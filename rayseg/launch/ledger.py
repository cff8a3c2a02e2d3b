"""What a search knows of its trials: which there are, written down before each begins, and how each has ended.

Tune writes down what it knows every few seconds, in several files that a kill leaves at different times. So nothing of that is
read again: to Tune, a search that goes on is a new experiment, of those trials that have no end here, under their names.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from rayseg.engine.checkpoint import is_whole, step_of
from rayseg.engine.reporter import checkpoint_name
from rayseg.errors import ConfigError
from rayseg.launch.same import version_problems

__all__ = ["Ledger", "trial_name"]

_DIED = "its process died, and left no word"


def trial_name(search: str, number: int, point: Mapping[str, Any]) -> str:
    """What a trial is called, in the same search always the same.

    Args:
        search: its name.
        number: of the trial in the search.
        point: what the trial is told.

    Example:
        >>> trial_name("ohem", 3, {"optim.lr": 0.1}), trial_name("ohem", 0, {"baseline": True})
        ('8ea03_00003', 'baseline')
        >>> trial_name("ohem", 3, {"recipe": "8ea03_00003", "seed": 1})
        '8ea03_00003-seed1'
    """
    if "recipe" in point:
        return f"{point['recipe']}-seed{point['seed']}"
    return "baseline" if point.get("baseline") else f"{hashlib.sha256(search.encode()).hexdigest()[:5]}_{number:05d}"


class Ledger:
    """Files of a part of a search: what its searcher knows, and the ends of its trials.

    Args:
        directory: of the search.
        part: name of Tune's directory in it.

    Raises:
        ConfigError: trials there are those of an earlier version, which believed Tune.

    Example:
        >>> ledger = Ledger("runs/ohem", "tune")  # doctest: +SKIP
        >>> ledger.end("8ea03_00003")  # doctest: +SKIP
        >>> ledger.has_ended("8ea03_00003")  # doctest: +SKIP
        True
    """

    def __init__(self, directory: str, part: str) -> None:
        self.directory = Path(directory)
        self._part = self.directory / part
        self._state = self.directory / f"{part}.state"
        if problems := version_problems(self.directory):
            raise ConfigError(problems, where="sweep")

    @property
    def name(self) -> str:
        """Of Tune's directory."""
        return self._part.name

    def keep(self, state: Mapping[str, Any]) -> None:
        """Write what the searcher knows, at once or not at all."""
        staged = self._state.with_name(f".{self._state.name}")
        staged.write_bytes(ray.cloudpickle.dumps(dict(state)))
        staged.replace(self._state)

    def kept(self) -> dict[str, Any]:
        """What the searcher knew; empty where nothing was kept."""
        return dict(ray.cloudpickle.loads(self._state.read_bytes())) if self._state.is_file() else {}

    def place(self, trial: str) -> Path:
        """Where Tune keeps what a trial hands it."""
        return self._part / trial

    def end(self, trial: str, *, failed: bool = False) -> None:
        """A trial has come to its end, or was ended early; ``failed``: its process died once too often."""
        path = self._end(trial)
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}")
        staged.write_text(json.dumps({"failed": failed}), encoding="utf-8")
        staged.replace(path)

    def has_ended(self, trial: str) -> bool:
        """Whether a trial will not go on."""
        return self._end(trial).is_file()

    def death(self, trial: str) -> str | None:
        """Of what a trial's process died for good, in Tune's words where it left them; None of one that did not."""
        if not self.has_ended(trial) or not json.loads(self._end(trial).read_text(encoding="utf-8"))["failed"]:
            return None
        try:
            error = ray.cloudpickle.loads((self.place(trial) / "error.pkl").read_bytes())
        except Exception:  # none was left, or half of one, or one whose class cannot be found
            return _DIED
        return f"{type(error).__name__}: {error}"

    def reopen(self, trial: str, run: Path) -> None:
        """A trial goes on. Tune counts its checkpoints from 0 again, so those that are there go to the trial's own directory.

        A fault that it had left before its end was written is forgotten: it comes again, or was mended meanwhile.

        Args:
            trial: its name.
            run: its directory, where it looks for them.
        """
        self._end(trial).unlink(missing_ok=True)
        (run / "fault.txt").unlink(missing_ok=True)
        for found in self.place(trial).glob("checkpoint_*"):
            if is_whole(found):
                target = run / "checkpoints" / checkpoint_name(step_of(found))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.rmtree(target, ignore_errors=True)
                found.replace(target)
            else:
                shutil.rmtree(found, ignore_errors=True)

    def _end(self, trial: str) -> Path:
        return self.place(trial) / "ended.json"
