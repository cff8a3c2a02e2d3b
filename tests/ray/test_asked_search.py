"""What a searcher is told of a trial that has ended: the time of its loop, whether it failed, whether it stopped itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rayseg.launch.searchers import AskedSearch

pytestmark = pytest.mark.ray
TOTAL = 6


class _Told:
    """An asker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, int | None]] = []

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Always the same."""
        return 0, {}

    def tell(self, number: int, scores: Any, *, step: int | None = None) -> None:  # noqa: ARG002
        """Keep it."""
        self.told.append((scores, step))


@pytest.mark.parametrize(
    ("files", "step", "told"),
    [
        ({}, 6, ([0.5, 2.0], None)),
        ({}, 3, ([0.5, 4.0], 3)),
        ({"stopped.txt": "early_stopping"}, 3, ([0.5, 4.0], None)),
        ({"fault.txt": "DataError: the loss is not finite"}, 3, (None, 3)),
        ({"spans.jsonl": '{"began": 1}\n{"began": 5}\n{"ended": 9}\n'}, 6, (None, None)),  # its process died once
    ],
)
def test_an_end_is_told_as_the_table_has_it(tmp_path: Path, files: dict[str, str], step: int, told: Any) -> None:
    asker, place = _Told(), tmp_path / f"{tmp_path.name}-t1"
    place.mkdir()
    spans = "".join(f"{json.dumps(each)}\n" for each in ({"began": 1.0}, {"ended": 13.0}))
    for name, text in ({"spans.jsonl": spans} | files).items():
        (place / name).write_text(text)
    search = AskedSearch({}, asker, ["val/mIoU", "perf/step_s"], "max", TOTAL, str(tmp_path))
    search.suggest("t0")
    search.suggest("t1")
    search.on_trial_complete("t0", {"val/mIoU": 0.9, "step": TOTAL})
    search.on_trial_complete("t1", {"val/mIoU": 0.5, "step": step, "time_total_s": 99.0})
    assert asker.told == [told]
