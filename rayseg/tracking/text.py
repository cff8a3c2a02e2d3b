"""Calm lines for people, JSON lines for programs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from rayseg.tracking.naming import picture_path
from rayseg.tracking.steps import LastSteps
from rayseg.tracking.tracker import RunStatus

__all__ = ["TextTracker", "metrics_line", "read_history"]

#: Too many for one line; they are in the JSON lines.
_CLASS_SCORES = tuple(f"val/{kind}/" for kind in ("IoU", "Acc", "Dice", "Fscore", "Precision", "Recall", "BoundaryIoU"))
_HIDDEN = ("train/loss/", *_CLASS_SCORES)
_RATE = re.compile(r"^perf/(.+)_per_s$")


def _short(value: float) -> str:
    return f"{value:.4g}"


def _rates(metrics: Mapping[str, float]) -> list[str]:
    lr = sorted({value for name, value in metrics.items() if name.split("/")[:2] == ["train", "lr"]})
    span = [] if not lr else [f"lr {_short(lr[0])}" if len(lr) == 1 else f"lr {_short(lr[0])}..{_short(lr[-1])}"]
    speed = [f"{value:.3g} {hit[1]}/s" for name, value in metrics.items() if (hit := _RATE.match(name))]
    return span + speed


def metrics_line(step: int, metrics: Mapping[str, float], total_steps: int | None = None) -> str:
    """One line for a person; ``""`` when there is nothing that a person needs.

    Loss terms, classes and timings are left out (the JSON lines have them); learning rates are one number or a span.

    Args:
        step: optimizer step.
        metrics: values by name, such as ``train/loss``, ``train/lr/<group>``, ``val/mIoU``, ``perf/<things>_per_s``.
        total_steps: last step of the run, if known.

    Example:
        >>> metrics_line(120, {"train/loss": 0.71, "train/lr/all": 0.0031, "perf/steps_per_s": 1.9}, 300)
        'step 120/300  loss 0.71  lr 0.0031  1.9 steps/s'
        >>> metrics_line(300, {"val/mIoU": 0.6123, "val/aAcc": 0.91, "val/IoU/car": 0.7}, 300)
        'step 300/300  val  mIoU 0.6123  aAcc 0.91'
    """
    shown = {name: value for name, value in metrics.items() if not name.startswith((*_HIDDEN, "train/lr", "perf/"))}
    train = [f"{name.removeprefix('train/')} {_short(v)}" for name, v in shown.items() if not name.startswith("val/")]
    val = [f"{name.removeprefix('val/')} {_short(v)}" for name, v in shown.items() if name.startswith("val/")]
    parts = train + _rates(metrics) + (["val", *val] if val else [])
    if not parts:
        return ""
    at = f"{step}" if total_steps is None else f"{step:>{len(str(total_steps))}}/{total_steps}"
    return "  ".join([f"step {at}", *parts])


def read_history(path: Path) -> list[tuple[int, dict[str, float]]]:
    """The metrics of a JSON-lines file, ``(step, values)`` in the order of writing; null becomes NaN.

    Args:
        path: a file that a TextTracker wrote; a last line that was torn by a crash is left out.

    Example:
        >>> read_history(Path("no/such/file.jsonl"))
        []
    """
    if not path.exists():
        return []
    rows = (_parsed(line) for line in path.read_text(encoding="utf-8").split("\n"))
    return [(row["step"], _numbers(row["metrics"])) for row in rows if "metrics" in row]


def _parsed(line: str) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return row


def _numbers(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in metrics.items()}


def _mend(path: Path) -> None:
    """Cut off a last line that a crash tore."""
    whole = path.read_bytes()
    keep = whole.rfind(b"\n") + 1
    if keep < len(whole):
        with path.open("r+b") as file:
            file.truncate(keep)


def _steps_of(history: Iterable[tuple[int, Mapping[str, float]]]) -> LastSteps:
    steps = LastSteps()
    for step, metrics in history:
        steps.mark(step, metrics)
    return steps


class TextTracker:
    """Lines on a stream, and a JSON-lines file with everything.

    The file has one object per call: ``{"step": 7, "metrics": {...}}``, ``{"tags": {...}}``, ``{"status": "FINISHED"}``.
    Values that are not finite are null. A file that exists is continued: a line torn by a crash is cut off, and a metric is
    not written again at a step that the file has. Pictures and artifacts become files beside it:
    ``pictures/<name>/step_000300.png``.

    Args:
        path: the JSON-lines file; None writes no files.
        stream: where the lines for people go, such as ``sys.stderr``; None is silent.
        total_steps: last step of the run, for ``step 120/300``.

    Example:
        >>> import sys
        >>> TextTracker(None, sys.stdout, total_steps=300).log_metrics(120, {"train/loss": 0.71})
        step 120/300  loss 0.71
    """

    def __init__(self, path: Path | None, stream: TextIO | None, *, total_steps: int | None = None) -> None:
        self.run_id: str | None = None
        self._path = path
        self._stream = stream
        self._total_steps = total_steps
        self._steps = LastSteps()
        if path is not None and path.exists():
            _mend(path)
            self._steps = _steps_of(read_history(path))

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write what is new at this step."""
        new = self._steps.new(step, metrics)
        if not new:
            return
        self._steps.mark(step, new)
        self._append({"step": step, "metrics": {name: v if math.isfinite(v) else None for name, v in new.items()}})
        line = metrics_line(step, new, self._total_steps)
        if self._stream is not None and line:
            self._stream.write(line + "\n")
            self._stream.flush()

    def log_picture(self, name: str, step: int, png: bytes) -> None:
        """Write ``pictures/<name>/step_<step>.png`` beside the file."""
        self.log_artifact(picture_path(name, step), png)

    def log_artifact(self, path: str, data: bytes) -> None:
        """Write a file beside the JSON lines."""
        if self._path is not None:
            target = self._path.parent / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Write one object with the tags, and a line for each."""
        self._append({"tags": dict(tags)})
        if self._stream is not None:
            self._stream.write("".join(f"{name.removeprefix('rayseg.')}: {value}\n" for name, value in tags.items()))
            self._stream.flush()

    def flush(self) -> None:
        """Nothing: every line is written at once."""

    def finish(self, status: RunStatus) -> None:
        """Write the status."""
        self._append({"status": status})

    def _append(self, row: Mapping[str, Any]) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
