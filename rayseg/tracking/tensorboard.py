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
#: What the writer puts behind the name of a text.
_TEXT = "/text_summary"
_TABLE_HEAD = "| tag | value |\n| --- | --- |"


def _known(directory: Path) -> tuple[LastSteps, dict[str, str]]:
    """The last step of every tag in the event files of a directory, and the last text of those that are texts.

    A file that a crash tore is read as far as it goes.
    """
    steps = LastSteps()
    texts: dict[str, str] = {}
    for path in sorted(directory.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            steps.mark(event.step, [value.tag for value in event.summary.value])
            said = [value for value in event.summary.value if value.tag.endswith(_TEXT)]
            texts |= {value.tag: value.tensor.string_val[0].decode() for value in said}
    return steps, texts


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
        self._steps, self._texts = _known(directory)
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
        """Show tags as a table, with those that are there."""
        before = self._texts.get(f"tags{_TEXT}", _TABLE_HEAD).splitlines()[2:]
        rows = {row.split(" | ")[0].removeprefix("| "): row for row in before}
        rows |= {key: f"| {key} | {' '.join(text.split())} |" for key, text in tags.items()}
        self._write_text("tags", "\n".join([_TABLE_HEAD, *rows.values()]))

    def flush(self) -> None:
        """Return when everything so far is in the file."""
        self._writer.flush()

    def finish(self, status: RunStatus) -> None:
        """Write the status and close the file."""
        self._write_text("status", status)
        self._writer.close()

    def _write_text(self, name: str, text: str) -> None:
        """A text at the last step; one that was the last to be written is not written again."""
        if self._texts.get(f"{name}{_TEXT}") != text:
            self._writer.add_text(name, text, self._steps.last)
            self._texts[f"{name}{_TEXT}"] = text
