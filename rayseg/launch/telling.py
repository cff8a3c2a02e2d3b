"""What the terminal of one run says: a picture at its foot and a line for each evaluation, or plain lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rayseg.build import Components, plan_of
from rayseg.config import ExperimentConfig
from rayseg.report.live import LiveRun, RunBoard, shown_run
from rayseg.tracking import NullTracker, RunStatus, TextTracker, Tracker, metrics_line

__all__ = ["Telling", "telling"]


class Telling:
    """A Tracker whose record is the terminal. Other lines go the same way.

    Args:
        lines: prints metrics and tags as lines.
        live: the picture, where there is one; then only evaluations have lines.
        total_steps: of the run.
    """

    def __init__(self, lines: Tracker, live: LiveRun | None, total_steps: int) -> None:
        self.run_id: str | None = None
        self._lines, self._live, self.total_steps = lines, live, total_steps

    def say(self, line: str) -> None:
        """A line that stays."""
        if not isinstance(self._lines, NullTracker):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    def doing(self, phase: str) -> None:
        """What goes on before the first step."""
        if self._live is not None:
            self._live.doing(phase)

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """A line, or a change of the picture."""
        if self._live is None:
            self._lines.log_metrics(step, metrics)
            return
        self._live.see(step, metrics)
        evaluated = {name: value for name, value in metrics.items() if name.startswith("val/")}
        if evaluated:
            self.say(metrics_line(step, evaluated, self.total_steps))

    def log_picture(self, name: str, step: int, png: bytes) -> None:
        """Nothing."""

    def log_artifact(self, path: str, data: bytes) -> None:
        """Nothing."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """A line for each."""
        self._lines.set_tags(tags)

    def flush(self) -> None:
        """Nothing: every line is written at once."""

    def finish(self, status: RunStatus) -> None:
        """Nothing: how it ended is told by its caller."""


@contextmanager
def telling(config: ExperimentConfig, components: Components, use: Callable[[], str] = str) -> Iterator[Telling]:
    """What stdout allows, until the block ends; silence where ``tracking.text`` is off.

    Args:
        config: of the run, checked.
        components: name -> callable given by value.
        use: tells how much of the cluster is in use; only asked for a terminal.
    """
    total_steps = plan_of(config, components).total_steps if config.train.steps is None else config.train.steps
    if not config.tracking.text:
        yield Telling(NullTracker(), None, total_steps)
        return
    board = RunBoard(f"train {config.tracking.name}", config.checkpoint.best, config.checkpoint.mode, total_steps)
    with shown_run(board, use) as live:
        yield Telling(TextTracker(None, sys.stdout, total_steps=total_steps), live, total_steps)
