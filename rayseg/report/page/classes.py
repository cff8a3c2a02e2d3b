"""Scores by class: the baseline's, and differences from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rayseg.report.page.markup import absent, section, signed, table, tag, text
from rayseg.report.records import SweepRecords, TrialRecord

__all__ = ["classes"]

_TITLE = "IoU by class"
_PREFIX = "val/IoU/"
_MAX_TRIALS = 10
#: Points at which a colour is full: as many as the largest difference has, within these.
_LEAST_FULL, _MOST_FULL = 5.0, 20.0
_MOST = 62


def classes(records: SweepRecords) -> str:
    """A heat map: a row per class, a column per trial, at most ten, the best first.

    Args:
        records: of the sweep.

    Example:
        >>> rows = [{"rank": 1, "trial": "a", "step": 9, "val/IoU/sky": 0.6}]
        >>> rows += [{"rank": 2, "trial": "baseline", "step": 9, "val/IoU/sky": 0.5}]
        >>> "+10.0" in classes(SweepRecords("s", "val/mIoU", "max", {}, [TrialRecord(row) for row in rows]))
        True
    """
    baseline = records.baseline_trial
    if baseline is None:
        return absent(_TITLE, "the baseline has no score, so there is nothing to compare with")
    names = [key.removeprefix(_PREFIX) for key in baseline.row if key.startswith(_PREFIX)]
    others = [trial for trial in records.ranked if trial is not baseline][:_MAX_TRIALS]
    if not names or not others:
        return absent(_TITLE, f"no trial beside the baseline has {_PREFIX}...")
    beside = [(trial, records.baseline_at(trial.row["step"])) for trial in others]
    found = {name: [_points(trial, before, name) for trial, before in beside] for name in names}
    largest = max((abs(value) for row in found.values() for value in row if value is not None), default=0.0)
    full = min(_MOST_FULL, max(_LEAST_FULL, largest))
    head = [tag("th", "class", class_="name"), tag("th", f"baseline{_step(baseline)}")]
    head += [tag("th", f"{text(trial.name)}{_step(trial)}") for trial in others]
    rows = [
        tag(
            "tr",
            tag("td", text(name), class_="name"),
            _own(baseline.row[f"{_PREFIX}{name}"]),
            *(_cell(each, full) for each in row),
        )
        for name, row in found.items()
    ]
    more = len(records.ranked) - 1 - len(others)
    rest = f" {more} more trials are in table.parquet." if more > 0 else ""
    note = (
        "Baseline: IoU in per cent. Others: differences in points from the baseline at the same step, of one run each, so "
        f"small ones are chance.{rest}"
    )
    return section(_TITLE, table(head, rows, class_="heat"), note=note)


def _step(trial: TrialRecord) -> str:
    return tag("small", text(f"step {trial.row['step']}"))


def _points(trial: TrialRecord, before: Mapping[str, Any], name: str) -> float | None:
    own, other = trial.row.get(f"{_PREFIX}{name}"), before.get(f"{_PREFIX}{name}")
    return None if own is None or other is None or math.isnan(own - other) else 100 * (own - other)


def _own(score: float | None) -> str:
    return tag("td", "–" if score is None or math.isnan(score) else f"{100 * score:.1f}")


def _cell(points: float | None, full: float) -> str:
    if points is None:
        return tag("td", "–")
    towards, share = "better" if points > 0 else "worse", _MOST * min(1.0, abs(points) / full)
    return tag("td", signed(points, 1), style=f"background:color-mix(in oklab,var(--page),var(--{towards}) {share:.0f}%)")
