"""The top of the page: what the sweep's answer is, and what it rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rayseg.report.confirmation import Candidate, standing
from rayseg.report.confirmed_text import explain_candidate
from rayseg.report.page.markup import absent, number, section, signed, table, tag, text
from rayseg.report.paired import Difference
from rayseg.report.records import SweepRecords

__all__ = ["confirmation_section", "facts", "verdict"]

_ENDS = ("full", "stopped early", "stopped itself", "replaced", "out of budget", "failed")


def verdict(records: SweepRecords) -> str:
    """The answer in one sentence, plain text.

    Args:
        records: of the sweep.

    Example:
        >>> verdict(SweepRecords("a", "val/mIoU", "max", {}, []))
        'No trial has a score.'
    """
    if not records.ranked:
        return "No trial has a score."
    if not records.candidates:
        return _searched(records)
    stands = standing(records.candidates, records.mode)
    for each in records.candidates:
        if each.name == stands and each.difference is not None:
            gain = f"{signed(each.difference.mean)} {records.metric} over {each.difference.pairs} pairs of seeds"
            return f"Confirmed: {stands} is better than the baseline, by {gain}."
    told = Counter(each.verdict for each in records.candidates)
    return f"Go on with the baseline: no recipe is better ({', '.join(f'{count} {name}' for name, count in told.items())})."


def _searched(records: SweepRecords) -> str:
    best, baseline = records.ranked[0], records.baseline_trial
    score = f"{records.metric} {best.score(records.metric):.4f}"
    if baseline is None:
        return f"Not confirmed. {best.name} ranks first with {score}; the baseline has no score."
    if best is baseline:
        return f"Not confirmed. The baseline ranks first with {score}."
    gain = signed(best.score(records.metric) - baseline.score(records.metric))
    at = f", at step {baseline.row['step']}" if baseline.row["step"] != best.row["step"] else ""
    return f"Not confirmed. {best.name} ranks first with {score}, {gain} beside the baseline{at}."


def facts(records: SweepRecords) -> str:
    """Counts of the search, as a row of terms and values.

    Args:
        records: of the sweep.

    Example:
        >>> "<dt>trials</dt><dd>0</dd>" in facts(SweepRecords("a", "val/mIoU", "max", {}, []))
        True
    """
    ended = Counter(str(trial.row["status"]) for trial in records.trials)
    told = {
        "trials": len(records.trials),
        **{name: ended[name] for name in _ENDS if ended[name]},
        "compared by": f"{records.metric}, {'more' if records.mode == 'max' else 'less'} is better",
        "steps of a full trial": records.total_steps,
        "values chosen by": records.searcher,
        "search took": f"{records.seconds / 60:.1f} min",
        **_use(records),
    }
    return tag(
        "dl", *(tag("div", tag("dt", text(name)), tag("dd", text(value))) for name, value in told.items()), class_="facts"
    )


def _use(records: SweepRecords) -> dict[str, str]:
    use = records.use
    if use is None:
        return {}
    between = {} if use.between_s is None else {"between two trials": f"{use.between_s:.1f} s"}
    return {"trials an hour": f"{use.trials_per_hour:.0f}", "places training": f"{use.busy:.0%} of {use.places}", **between}


def confirmation_section(records: SweepRecords) -> str:
    """Candidates with their intervals, or what it means that there are none.

    Args:
        records: of the sweep.

    Example:
        >>> "rayseg confirm" in confirmation_section(SweepRecords("a", "val/mIoU", "max", {}, []))
        True
    """
    if not records.candidates:
        why = (
            "Not asked for. The first of a search was chosen because its score is high, so its score is too high, and one run "
            "does not tell a recipe from a seed. rayseg confirm trains it and the baseline again over paired seeds."
        )
        return absent("Confirmation", why)
    sure = f"{100 * (1 - records.rules.error):g} %"
    note = f"Recipe minus baseline over paired seeds; the intervals hold together in {sure} of such comparisons."
    head = [tag("th", "recipe", class_="name"), tag("th", "verdict", class_="words")]
    head += [tag("th", name) for name in ("baseline", "recipe", "difference", "from", "to", "pairs")]
    found = [each.difference for each in records.candidates if each.difference is not None]
    reach = 1.1 * max([max(abs(each.low), abs(each.high)) for each in found], default=1.0)
    told = [part for each in records.candidates for part in _told(each, records, reach)]
    return section("Confirmation", table(head, [_row(each) for each in records.candidates]), *told, note=note)


def _row(each: Candidate) -> str:
    cells = [tag("td", text(each.name), class_="name"), tag("td", text(each.verdict), class_="words")]
    if each.difference is not None:
        found = each.difference
        numbers = [
            number(each.baseline),
            number(each.score),
            *map(signed, (found.mean, found.low, found.high)),
            number(found.pairs),
        ]
        cells += [tag("td", each) for each in numbers]
    return tag("tr", *cells)


def _told(each: Candidate, records: SweepRecords, reach: float) -> Iterator[str]:
    """The interval on a line around zero, the same scale for all, and what it rests on."""
    first, *more = explain_candidate(each, records.metric, records.mode, records.rules)
    yield tag("p", text(first))
    if each.difference is not None:
        yield _interval(each.difference, reach or 1.0)
    yield tag("ul", *(tag("li", text(line.strip())) for line in more), class_="told")


def _interval(found: Difference, reach: float) -> str:
    low, mean, high = (50 + 50 * value / reach for value in (found.low, found.mean, found.high))
    parts = [
        tag("u", style="left:50%"),
        tag("i", style=f"left:{low:.1f}%;width:{high - low:.1f}%"),
        tag("b", style=f"left:{mean:.1f}%"),
    ]
    said = f"{signed(found.mean)}, from {signed(found.low)} to {signed(found.high)}; the dashed line is no difference"
    return tag("div", *parts, class_="interval", role="img", title=said, aria_label=said)
