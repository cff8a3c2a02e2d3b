"""Every trial in a row, and what ended those that failed."""

from __future__ import annotations

from rayseg.report.page.markup import number, section, signed, table, tag, text
from rayseg.report.records import SweepRecords, TrialRecord
from rayseg.report.table import shortest_endings

__all__ = ["leaderboard"]

#: Rows that are seen at once.
_SHOWN = 25


def leaderboard(records: SweepRecords) -> str:
    """The ranked table.

    Args:
        records: of the sweep.

    Example:
        >>> trial = TrialRecord({"rank": 1, "trial": "a", "step": 9, "status": "full", "val/mIoU": 0.5, "optim.lr": 0.1})
        >>> "<td>0.5000</td>" in leaderboard(SweepRecords("s", "val/mIoU", "max", {"optim.lr": "0 to 1"}, [trial]))
        True
    """
    names = shortest_endings(list(records.space))
    head = [tag("th", "rank"), tag("th", "trial", class_="name"), tag("th", text(records.metric)), tag("th", "beside baseline")]
    head += [tag("th", text(name)) for name in records.others] + ([tag("th", "front")] if records.others else [])
    head += [tag("th", "step"), tag("th", "ended", class_="words")]
    head += [tag("th", text(name), title=f"{key}: {records.space[key]}") for key, name in names.items()]
    rows = [_row(trial, records) for trial in records.trials]
    faults = [
        tag("li", tag("b", text(trial.name)), ": ", text(str(trial.row["fault"]).strip()))
        for trial in records.trials
        if trial.row.get("fault")
    ]
    rest = tag("details", tag("summary", f"{len(rows) - _SHOWN} more trials"), table(head, rows[_SHOWN:]))
    shown = [table(head, rows[:_SHOWN]), *([rest] if len(rows) > _SHOWN else [])]
    failed = [tag("p", "Why trials failed:", class_="note"), tag("ul", *faults, class_="told")] if faults else []
    note = (
        "Scores of last evaluations. A trial that was ended early is ranked by what it had then: look at its step. Beside "
        "baseline: the difference from what the baseline had at that step."
    )
    note += " ● No other trial beats it in all objectives." if records.others else ""
    return section("Leaderboard", *shown, *failed, note=note)


def _row(trial: TrialRecord, records: SweepRecords) -> str:
    row, before = trial.row, records.baseline_at(trial.row["step"]).get(records.metric)
    score = f"{trial.score(records.metric):.4f}" if trial.ranked else "–"
    beside = "–"
    if trial.ranked and before is not None and trial.name != records.baseline:
        beside = signed(trial.score(records.metric) - before)
    cells = [
        tag("td", number(row.get("rank"))),
        tag("td", text(trial.name), class_="name"),
        tag("td", score),
        tag("td", beside),
    ]
    cells += [_value(number(row.get(name))) for name in records.others]
    cells += [tag("td", "●" if row.get("front") else "")] if records.others else []
    cells += [tag("td", number(row["step"])), tag("td", text(row["status"]), class_="words")]
    cells += [_value(number(row.get(key))) for key in records.space]
    return tag("tr", *cells, class_="baseline" if trial.name == records.baseline else None)


def _value(said: str) -> str:
    """A sampled value; what is long is cut, and whole where one rests on it."""
    return tag("td", text(said)) if len(said) <= 24 else tag("td", text(f"{said[:23]}…"), title=said)
