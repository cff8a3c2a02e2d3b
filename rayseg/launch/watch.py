"""What Tune knows of a search's trials, for the view that a person looks at."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray.tune

from rayseg.engine.history import History
from rayseg.launch.cluster import cluster_use
from rayseg.launch.parts import overrides_of
from rayseg.launch.run import stopped_by
from rayseg.launch.summary import EndedTrial
from rayseg.launch.trial import fault_of, trial_directory
from rayseg.report import shortest_endings
from rayseg.report.live import Board, LiveRow, LiveState, SearchView, shown_search

__all__ = ["Watch", "recipe_board", "say_beside", "watched"]

#: Views of this process by directory; Tune pickles its callbacks, and a terminal does not survive that.
_OPEN: dict[str, SearchView] = {}
_EVERY_S = 0.5
_STATES: Mapping[str, LiveState] = {"RUNNING": "running", "TERMINATED": "done", "ERROR": "failed"}


class Watch(ray.tune.Callback):
    """Tells the view of a sweep how its trials are. It remembers nothing, so that a sweep that goes on counts on.

    Args:
        directory: of the sweep.
        metric: to compare by.
        num_trials: in the sweep; None where that is not known beforehand.
        total_steps: of a trial that comes to its end.
        before: trials that have ended in an earlier part of the sweep.
    """

    def __init__(
        self, directory: str, metric: str, num_trials: int | None, total_steps: int, before: Sequence[LiveRow] = ()
    ) -> None:
        self._directory = directory
        self._metric = metric
        self._num_trials = num_trials
        self._total_steps = total_steps
        self._before = list(before)
        self._next = 0.0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ARG002
        """Something may have changed; it is told twice a second."""
        if time.monotonic() >= self._next and self._directory in _OPEN:
            self._next = time.monotonic() + _EVERY_S
            _OPEN[self._directory].see(self._rows(trials), self._num_trials)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        """A trial came to its end, or was ended."""
        self._tell(trials, trial, "done")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        """The process of a trial died, or it raised what is not ours, once too often."""
        self._tell(trials, trial, "failed")

    def _tell(self, trials: Sequence[Any], trial: Any, state: LiveState) -> None:
        """A member of a population that has come to a comparison has not ended."""
        rows = {each.trial_id: self._row(each, state if each is trial else None) for each in _newest(trials)}
        own = rows.get(trial.trial_id)
        if self._directory in _OPEN and own is not None and own.ended:
            _OPEN[self._directory].ended(own, [*self._before, *rows.values()], self._num_trials)

    def _rows(self, trials: Sequence[Any]) -> list[LiveRow]:
        return [*self._before, *(self._row(trial, None) for trial in _newest(trials))]

    def _row(self, trial: Any, ended: LiveState | None) -> LiveRow:
        """A trial; Tune calls its end before it has that status."""
        point, last = trial.config["point"], trial.last_result or {}
        directory = trial_directory(self._directory, point)
        state, step = ended or _STATES.get(trial.status, "waiting"), int(last.get("step", 0))
        fault = fault_of(directory) if state in ("done", "failed") else None
        if fault is not None:
            state = "failed"
        elif state == "done" and step < self._total_steps and stopped_by(directory) is None:
            state = "waiting" if "segment" in point else "stopped"
        changed = {} if "recipe" in point else overrides_of(point)
        return LiveRow(
            name=directory.name.removeprefix(f"{directory.parent.name}-"),
            state=state,
            step=step,
            score=last.get(self._metric),
            changed=changed,
            reason="" if state != "failed" else (fault or "its process died").strip().partition("\n")[0],
            baseline=bool(point.get("baseline")),
        )


def ended_row(trial: EndedTrial, metric: str, total_steps: int) -> LiveRow:
    """A trial of an earlier part of a sweep, as the view shows it.

    Args:
        trial: that has ended.
        metric: to compare by.
        total_steps: of a trial that comes to its end.
    """
    rows = History(trial.directory / "metrics.jsonl").rows()
    step, last = rows[-1] if rows else (0, {})
    whole = step >= total_steps or stopped_by(trial.directory) is not None
    return LiveRow(
        name=trial.directory.name.removeprefix(f"{trial.directory.parent.name}-"),
        state="failed" if trial.fault else "done" if whole else "stopped",
        step=step,
        score=last.get(metric),
        changed=overrides_of(trial.point),
        reason=(trial.fault or "").strip().partition("\n")[0],
        baseline=bool(trial.point.get("baseline")),
    )


def _newest(trials: Sequence[Any]) -> list[Any]:
    """Trials as a person counts them: of each member of a population what it does now."""
    return list({each.config["point"].get("segment", {}).get("member", each.trial_id): each for each in trials}.values())


def say_beside(directory: str, line: str) -> None:
    """A line of its own in the view of a sweep, where it has one in this process.

    Args:
        directory: of the sweep, as it is told to ``Watch``.
        line: for people.
    """
    if directory in _OPEN:
        _OPEN[directory].say(line)


@contextmanager
def watched(directory: str, board: Board) -> Iterator[SearchView]:
    """Open the view of a sweep, which its ``Watch`` finds by the directory.

    Args:
        directory: of the sweep, as it is told to ``Watch``.
        board: what stays the same.
    """
    with shown_search(board, cluster_use) as view:
        _OPEN[directory] = view
        try:
            yield view
        finally:
            del _OPEN[directory]


def recipe_board(title: str, metric: str, mode: Any, total_steps: int, keys: Sequence[str], *, ranks: bool = True) -> Board:
    """A board that calls the keys of recipes by their shortest names."""
    return Board(title, metric, mode, None, total_steps, shortest_endings(keys), ranks)
