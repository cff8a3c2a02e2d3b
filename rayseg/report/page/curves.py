"""The compared score of every trial by step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rayseg.report.page.markup import absent, nice_ticks, section, tag, text
from rayseg.report.records import SweepRecords, TrialRecord

__all__ = ["curves"]

_TITLE = "Curves"
Points = Sequence[tuple[float, float]]


def curves(records: SweepRecords) -> str:
    """A line per trial; baseline and best stand out.

    Args:
        records: of the sweep.

    Example:
        >>> trial = TrialRecord({"rank": 1, "trial": "a"}, [(1, {"val/mIoU": 0.1}), (2, {"val/mIoU": 0.3})])
        >>> curves(SweepRecords("s", "val/mIoU", "max", {}, [trial])).count("<title>")
        1
    """
    lines = [(trial, found) for trial in records.trials if (found := _points(trial, records.metric))]
    if not lines:
        return absent(_TITLE, f"no trial was evaluated by {records.metric}")
    every = [point for _, found in lines for point in found]
    low, high = min(score for _, score in every), max(score for _, score in every)
    room = 0.06 * (high - low) or 0.05
    low, high, last = low - room, high + room, max(step for step, _ in every)
    best = records.ranked[0].name if records.ranked else None
    drawn = sorted(lines, key=lambda line: (line[0].name == records.baseline, line[0].name == best))
    marks = [_line(trial, found, _kind(trial, records, best), last, low, high) for trial, found in drawn]
    ticks = [(tick, 100 * (high - tick) / (high - low)) for tick in nice_ticks(low, high)]
    grid = [tag("path", d=f"M0 {at:.2f}H100", class_="grid") for _, at in ticks]
    steps = [tick for tick in nice_ticks(0, last) if float(tick).is_integer()]
    labels = [tag("span", f"{tick:g}", class_="y", style=f"top:{at:.2f}%") for tick, at in ticks]
    labels += [tag("span", f"{tick:g}", class_="x", style=f"left:{100 * tick / last:.2f}%") for tick in steps]
    drawing = tag("svg", *grid, *marks, viewBox="0 0 100 100", preserveAspectRatio="none", role="img", aria_label=_TITLE)
    note = f"{records.metric} by step; a line that ends early is a trial that was ended. Rest on a line to see its trial."
    return section(_TITLE, _key(records, best), tag("div", drawing, *labels, class_="plot"), note=note)


def _points(trial: TrialRecord, metric: str) -> Points:
    return [(step, row[metric]) for step, row in trial.history if math.isfinite(row.get(metric, math.nan))]


def _kind(trial: TrialRecord, records: SweepRecords, best: str | None) -> str:
    return "base" if trial.name == records.baseline else "best" if trial.name == best else "other"


def _line(trial: TrialRecord, points: Points, kind: str, last: float, low: float, high: float) -> str:
    at = [f"{100 * step / last:.2f} {100 * (high - score) / (high - low):.2f}" for step, score in points]
    name = tag("title", text(f"{trial.name}: {points[-1][1]:.4f} at step {points[-1][0]}"))
    dotted = at if kind != "other" else at[-1:]
    dots = tag("path", d="".join(f"M{place}h0" for place in dotted), class_=f"{kind} dot")
    return tag("g", name, tag("path", d=f"M{'L'.join(at)}", class_=kind), dots)


def _key(records: SweepRecords, best: str | None) -> str:
    told = [("best", f"first: {best}")] if best not in {None, records.baseline} else []
    told += [("base", "baseline"), ("other", "other trials")]
    drawn = [
        tag("li", tag("svg", tag("path", d="M0 4H26", class_=kind), viewBox="0 0 26 8", aria_hidden="true"), text(name))
        for kind, name in told
    ]
    return tag("ul", *drawn, class_="key")
