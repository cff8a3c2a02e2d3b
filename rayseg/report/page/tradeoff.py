"""Two objectives against each other: a dot per trial, and which trials no other one beats in all of them."""

from __future__ import annotations

import math

from rayseg.report.page.markup import nice_ticks, section, tag, text
from rayseg.report.records import SweepRecords, TrialRecord

__all__ = ["tradeoff"]

_TITLE = "Objectives"


def tradeoff(records: SweepRecords) -> str:
    """A figure for each further objective; nothing where there is one objective, or where no trial has two of them.

    Args:
        records: of the sweep.

    Example:
        >>> trial = TrialRecord({"rank": 1, "trial": "a", "val/mIoU": 0.5, "perf/step_s": 0.2, "front": True})
        >>> found = tradeoff(SweepRecords("s", "val/mIoU", "max", {}, [trial], others=["perf/step_s"]))
        >>> "<title>a: val/mIoU 0.5, perf/step_s 0.2</title>" in found
        True
    """
    figures = [figure for other in records.others if (figure := _figure(records, other))]
    note = (
        "A dot per trial that came to its end; blue: no other trial beats it in all objectives; the ring is the baseline. "
        "Rest on a dot to see its trial."
    )
    return section(_TITLE, *figures, note=note) if figures else ""


def _figure(records: SweepRecords, other: str) -> str:
    trials = [
        trial for trial in records.trials if "front" in trial.row and _known(trial, records.metric) and _known(trial, other)
    ]
    if not trials:
        return ""
    across = _range([float(trial.row[other]) for trial in trials])
    upwards = _range([trial.score(records.metric) for trial in trials])
    drawn = sorted(trials, key=lambda trial: (bool(trial.row["front"]), trial.name == records.baseline))
    dots = [
        _dot(trial, records, other, _place(float(trial.row[other]), across), 100 - _place(trial.score(records.metric), upwards))
        for trial in drawn
    ]
    grid, labels = [], []
    for tick in nice_ticks(*upwards):
        at = f"{100 - _place(tick, upwards):.2f}"
        grid.append(tag("path", d=f"M0 {at}H100", class_="grid"))
        labels.append(tag("span", f"{tick:g}", class_="y", style=f"top:{at}%"))
    labels += [tag("span", f"{tick:g}", class_="x", style=f"left:{_place(tick, across):.2f}%") for tick in nice_ticks(*across)]
    shape = {"viewBox": "0 0 100 100", "preserveAspectRatio": "none", "role": "img"}
    named = f"{records.metric} (upwards) and {other} (to the right)"
    drawing = tag("svg", *grid, *dots, aria_label=named, **shape)
    return tag("p", text(named), class_="key") + tag("div", drawing, *labels, class_="plot")


def _known(trial: TrialRecord, name: str) -> bool:
    value = trial.row.get(name)
    return value is not None and math.isfinite(value)


def _range(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.1 * abs(high) or 0.1
    return low - room, high + room


def _place(value: float, ends: tuple[float, float]) -> float:
    return 100 * (value - ends[0]) / (ends[1] - ends[0])


def _dot(trial: TrialRecord, records: SweepRecords, other: str, left: float, top: float) -> str:
    place = f"M{left:.2f} {top:.2f}h0"
    said = f"{trial.name}: {records.metric} {trial.score(records.metric):.4g}, {other} {float(trial.row[other]):.4g}"
    ring = [tag("path", d=place, class_="base ring")] if trial.name == records.baseline else []
    dot = tag("path", d=place, class_=f"{'best' if trial.row['front'] else 'other'} dot large")
    return tag("g", tag("title", text(said)), *ring, dot)
