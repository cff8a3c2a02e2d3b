"""Parallel coordinates: a line per trial through its sampled values to its score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayseg.report.page.markup import absent, number, section, tag, text
from rayseg.report.records import SweepRecords, TrialRecord
from rayseg.report.table import shortest_endings

__all__ = ["Axis", "make_axis", "parallel"]

_TITLE = "Parallel coordinates"
#: Between two axes, and of the figure's margins.
_LEAST_PX = 78
_MARGINS_PX = 92
_LOG_RATIO = 20


@dataclass(frozen=True)
class Axis:
    """Where values lie on an axis.

    Args:
        places: text of each value -> per cent from the top.
        labels: what is written beside it.
    """

    places: Mapping[str, float]
    labels: Sequence[tuple[str, float]]

    def __call__(self, value: Any) -> float:
        """Per cent from the top."""
        return self.places[_named(value)]


def make_axis(values: Sequence[Any]) -> Axis:
    """An axis for the values of one key.

    Numbers lie by size, by their logarithm where the largest is 20 times the smallest or more; what is no number lies at equal
    distances. A value that is absent lies at the bottom.

    Args:
        values: one or more; None is an absent one.

    Example:
        >>> axis = make_axis([0.001, 0.01, 0.1, None])
        >>> axis(0.1), round(axis(0.01)), axis(None), axis.labels
        (0.0, 42, 100.0, [('0.1', 0.0), ('0.001', 84.0), ('absent', 100.0)])
    """
    given = [value for value in values if value is not None]
    bottom = 100.0 if len(given) == len(values) or not given else 84.0
    if given and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in given):
        places = _numeric(given, bottom)
        ends = dict.fromkeys([max(given), min(given)])
        labels = [(_named(value), places[_named(value)]) for value in ends]
    else:
        names = list(dict.fromkeys(map(_named, given)))
        places = {name: bottom * (index + 0.5) / len(names) for index, name in enumerate(names)}
        labels = list(places.items())
    if len(given) < len(values):
        places, labels = {**places, _named(None): 100.0}, [*labels, (_named(None), 100.0)]
    return Axis(places, labels)


def _numeric(values: Sequence[float], bottom: float) -> dict[str, float]:
    low, high = min(values), max(values)
    scale = math.log if low > 0 and high >= _LOG_RATIO * low else float
    span = scale(high) - scale(low)
    return {_named(value): bottom * ((scale(high) - scale(value)) / span if span else 0.5) for value in values}


def _named(value: Any) -> str:
    return "absent" if value is None else number(value)


def parallel(records: SweepRecords) -> str:
    """The figure: axes in the order of the space, the score last, better is higher and darker.

    Args:
        records: of the sweep.

    Example:
        >>> trial = TrialRecord({"rank": 1, "trial": "a", "val/mIoU": 0.5, "optim.lr": 0.1})
        >>> "optim.lr" in parallel(SweepRecords("s", "val/mIoU", "max", {"optim.lr": "0 to 1"}, [trial]))
        True
    """
    scores = [score for trial in records.ranked if math.isfinite(score := trial.score(records.metric))]
    if not scores or not records.space:
        return absent(_TITLE, "no trial with a score and a sampled value")
    axes = {key: make_axis([trial.row.get(key) for trial in records.trials]) for key in records.space}
    places = [100 * index / len(axes) for index in range(len(axes) + 1)]
    trials = sorted(records.trials, key=lambda trial: (trial.name == records.baseline, -(trial.row.get("rank") or math.inf)))
    lines = [_line(trial, records, axes, places, _Scores(min(scores), max(scores), records.mode)) for trial in trials]
    uprights = [tag("path", d=f"M{at:.2f} 0V100", class_="axis") for at in places]
    names = {**shortest_endings(list(records.space)), records.metric: records.metric}
    heads = [
        tag("span", text(name), class_="axisname", style=f"left:{at:.2f}%;width:calc({100 / len(axes):.2f}% - 8px)", title=key)
        for (key, name), at in zip(names.items(), places, strict=True)
    ]
    sides = [_label(name, at, top) for at, axis in zip(places, axes.values(), strict=False) for name, top in axis.labels]
    top, bottom = (max(scores), min(scores)) if records.mode == "max" else (min(scores), max(scores))
    sides += [_label(f"{top:.4f}", 100, 0), _label(f"{bottom:.4f}", 100, 100)]
    drawing = tag("svg", *uprights, *lines, viewBox="0 0 100 100", preserveAspectRatio="none", role="img", aria_label=_TITLE)
    figure = tag("div", drawing, *heads, *sides, class_="plot parallel")
    sized = tag("div", figure, style=f"min-width:{_LEAST_PX * len(axes) + _MARGINS_PX}px")
    key = f"worst {tag('i', class_='scale')} best; dashed: baseline; dotted: trials that failed"
    note = "A line per trial. A key whose best lines cross its axis in one place mattered; one where they spread did not."
    return section(_TITLE, tag("p", key, class_="note"), tag("div", sized, class_="wide", tabindex=0), note=note)


@dataclass(frozen=True)
class _Scores:
    low: float
    high: float
    mode: str

    def goodness(self, score: float) -> float:
        """0 for the worst, 1 for the best; what is infinite is one of them."""
        share = (min(max(score, self.low), self.high) - self.low) / (self.high - self.low) if self.high > self.low else 1.0
        return share if self.mode == "max" else 1 - share


def _label(name: str, left: float, top: float) -> str:
    short = name if len(name) <= 14 else f"{name[:13]}…"
    return tag("span", text(short), class_="value", style=f"left:{left:.2f}%;top:{top:.2f}%", title=name)


def _line(trial: TrialRecord, records: SweepRecords, axes: Mapping[str, Axis], places: Sequence[float], scores: _Scores) -> str:
    tops = [axis(trial.row.get(key)) for key, axis in axes.items()]
    kind, style, score = "failed", None, "no score"
    if trial.ranked:
        good = scores.goodness(trial.score(records.metric))
        tops, score = [*tops, 100 * (1 - good)], f"{trial.score(records.metric):.4f}"
        kind, style = "trial", f"stroke:color-mix(in oklab,var(--low),var(--high) {100 * good:.0f}%)"
    if trial.name == records.baseline and trial.ranked:
        kind, style = "base", None
    drawn = "L".join(f"{left:.2f} {top:.2f}" for left, top in zip(places, tops, strict=False))
    return tag("path", tag("title", text(f"{trial.name}: {score}")), d=f"M{drawn}", class_=kind, style=style)
