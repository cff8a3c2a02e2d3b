"""Evaluations of a run in a file, each step once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rayseg.errors import CheckpointError

__all__ = ["History"]


class History:
    """JSON lines ``{"step": 7, "val/mIoU": 0.5, ...}``, rewritten whole, so that a crash never tears it.

    Recording a step forgets later ones: after a restart they come again.

    Args:
        path: the file; its directory is made.

    Example:
        >>> import tempfile
        >>> history = History(Path(tempfile.mkdtemp()) / "metrics.jsonl")
        >>> history.record(10, {"val/mIoU": 0.5})
        >>> history.record(20, {"val/mIoU": 0.6})
        >>> history.record(20, {"val/mIoU": 0.7})
        >>> history.rows()
        [(10, {'val/mIoU': 0.5}), (20, {'val/mIoU': 0.7})]
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add or replace the evaluation at ``step``.

        Raises:
            CheckpointError: the storage cannot be written.
        """
        rows = {**dict(self.rows()), step: dict(metrics)}
        text = "".join(json.dumps({"step": at, **row}) + "\n" for at, row in sorted(rows.items()) if at <= step)
        staged = self.path.with_suffix(".tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            staged.write_text(text, encoding="utf-8")
            staged.replace(self.path)
        except OSError as error:
            raise CheckpointError(
                f"{self.path}: cannot write the scores ({error}); check space and permissions, or change tracking.storage"
            ) from error

    def rows(self) -> list[tuple[int, dict[str, float]]]:
        """Every evaluation, by step."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        rows = [json.loads(line) for line in lines]
        return sorted((int(row.pop("step")), row) for row in rows)
