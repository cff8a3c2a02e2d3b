"""Event files for TensorBoard. The only module that imports tensorboard."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from torch.utils.tensorboard import SummaryWriter

from rayseg.tracking.steps import LastSteps
from rayseg.tracking.tracker import RunStatus

__all__ = ["TensorBoardTracker"]

_TEXTS = {".json": "json", ".md": "", ".txt": "", ".yaml": "yaml"}
_FLUSH_S = 10


def _steps_of(directory: Path) -> LastSteps:
    """The last step of every tag in the event files of a directory; a file that a crash tore is read as far as it goes."""
    steps = LastSteps()
    for path in sorted(directory.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            steps.mark(event.step, [value.tag for value in event.summary.value])
    return steps


class TensorBoardTracker:
    """Scalars, pictures and texts under the names that every tracker uses: ``train/loss``, ``val/IoU/<class>``.

    A directory that has event files is continued: what they have at a step, or after it, is not written again. Artifacts that
    are texts or pictures are shown as such; others are files beside the events.

    Args:
        directory: of the event files; made if it is not there.

    Example:
        >>> tracker = TensorBoardTracker(Path("runs/first/tensorboard"))  # doctest: +SKIP
        >>> tracker.log_metrics(1, {"train/loss": 0.7})  # doctest: +SKIP
        >>> tracker.finish("FINISHED")  # doctest: +SKIP
    """

    def __init__(self, directory: Path) -> None:
        self.run_id: str | None = None
        self._directory = directory
        self._steps = _steps_of(directory)
        self._writer: Any = SummaryWriter(str(directory), flush_secs=_FLUSH_S)

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write what is new at this step."""
        new = self._steps.new(step, metrics)
        for name, value in new.items():
            self._writer.add_scalar(name, value, step)
        self._steps.mark(step, new)

    def log_picture(self, name: str, step: int, png: bytes) -> None:
        """Write a picture, if it is new at this step."""
        if self._steps.is_new(step, name):
            pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
            self._writer.add_image(name, pixels, step, dataformats="HWC")
            self._steps.mark(step, [name])

    def log_artifact(self, path: str, data: bytes) -> None:
        """Show a text or a picture at the last step so far; write any other file beside the events."""
        suffix = Path(path).suffix
        if suffix == ".png":
            self.log_picture(path.removesuffix(".png"), self._steps.last, data)
        elif suffix in _TEXTS:
            self._write_text(path, f"```{_TEXTS[suffix]}\n{data.decode()}\n```")
        else:
            target = self._directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Show tags as a table."""
        rows = [f"| {key} | {text} |" for key, text in tags.items()]
        self._write_text("tags", "\n".join(["| tag | value |", "| --- | --- |", *rows]))

    def flush(self) -> None:
        """Return when everything so far is in the file."""
        self._writer.flush()

    def finish(self, status: RunStatus) -> None:
        """Write the status and close the file."""
        self._write_text("status", status)
        self._writer.close()

    def _write_text(self, name: str, text: str) -> None:
        """A text at the last step; one that stands there is not written again."""
        tag = f"{name}/text_summary"
        if self._steps.is_new(self._steps.last, tag):
            self._writer.add_text(name, text, self._steps.last)
            self._steps.mark(self._steps.last, [tag])
