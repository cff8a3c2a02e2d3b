"""A confirmation as a person reads it: a table, then what each verdict rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rayseg.report.confirmation import Candidate, Mode, standing
from rayseg.report.image_bootstrap import ImageInterval
from rayseg.report.paired import Difference, PairRules
from rayseg.report.table import render_table

__all__ = ["explain_candidate", "render_candidates"]

_SAID = {
    "better": "is better than the baseline",
    "worse": "is worse than the baseline",
    "not distinguishable": "and the baseline are not distinguishable",
}


def render_candidates(candidates: Sequence[Candidate], metric: str, mode: Mode, rules: PairRules) -> str:
    """The table of candidates, a paragraph for each, and what stands.

    Args:
        candidates: see there.
        metric: that was compared.
        mode: whether more or less of it is better.
        rules: of the pairs.

    Example:
        >>> failed = Candidate("a3f_00002", {}, "failed", fault="NonFiniteLossError: the loss became NaN")
        >>> print(render_candidates([failed], "val/mIoU", "max", PairRules()).splitlines()[-3])
        a3f_00002 failed: NonFiniteLossError: the loss became NaN
    """
    sure = f"{100 * (1 - rules.error):g} %"
    head = f"{metric} over paired seeds, recipe minus baseline; intervals hold together in {sure} of such comparisons"
    table = render_table([_row(each) for each in candidates])
    told = [line for each in candidates for line in ["", *explain_candidate(each, metric, mode, rules)]]
    return "\n".join([head, "", table, *told, "", f"to go on with: {standing(candidates, mode)}"])


def _row(each: Candidate) -> dict[str, object]:
    found = each.difference
    if found is None:
        return {"recipe": each.name, "verdict": each.verdict}
    return {
        "recipe": each.name,
        "verdict": each.verdict,
        "baseline": f"{each.baseline:.4f}",
        "score": f"{each.score:.4f}",
        "difference": _signed(found.mean),
        "from": _signed(found.low),
        "to": _signed(found.high),
        "pairs": found.pairs,
        "asked": each.asked,
    }


def explain_candidate(each: Candidate, metric: str, mode: Mode, rules: PairRules) -> Iterator[str]:
    """What the verdict on a candidate rests on, line by line; all but the first are indented.

    Args:
        each: the candidate.
        metric: that was compared.
        mode: whether more or less of it is better.
        rules: of the pairs.

    Example:
        >>> failed = Candidate("a3f_00002", {}, "failed", fault="NonFiniteLossError: the loss became NaN")
        >>> list(explain_candidate(failed, "val/mIoU", "max", PairRules()))
        ['a3f_00002 failed: NonFiniteLossError: the loss became NaN']
    """
    if each.difference is None:
        yield f"{each.name} failed: {each.fault}"
        return
    yield f"{each.name} {_SAID[each.verdict]}: {metric} {_interval(each.difference)}, {each.difference.pairs} pairs of seeds"
    yield from (f"  {line}" for line in _limits(each, each.difference, rules))
    for split, over in each.images.items():
        yield f"  had other images been drawn (bootstrap of {split}, these models): mIoU {_interval(over['mIoU'])}"
    if each.test is not None:
        name = metric.replace("val/", "test/", 1)
        yield f"  on the test split, looked at once, afterwards: {name} {_interval(each.test)}: {each.test.verdict(mode)}"
    yield from (f"  {line}" for line in _classes(each))


def _limits(each: Candidate, found: Difference, rules: PairRules) -> Iterator[str]:
    """What is left open."""
    if each.verdict == "not distinguishable" and max(-found.low, found.high) <= rules.smallest:
        yield f"a difference of more than {rules.smallest:g} either way is excluded"
    elif each.verdict == "not distinguishable" and each.asked > found.pairs:
        yield f"a difference of {rules.smallest:g} may be there: the spread between seeds asks for {each.asked} pairs to tell"
    elif each.verdict == "not distinguishable":
        yield f"the interval is as narrow as was asked for, +-{rules.smallest:g}, and holds zero"


def _classes(each: Candidate) -> Iterator[str]:
    """The classes by verdict, the largest difference first; those that are not distinguishable are named only."""
    order = sorted(each.classes, key=lambda name: -abs(each.classes[name].mean))
    for verdict in ("better", "worse"):
        names = [f"{name} {_interval(each.classes[name])}" for name in order if each.class_verdicts[name] == verdict]
        if names:
            yield f"classes {verdict}: {', '.join(names)}"
    rest = [name for name in each.classes if each.class_verdicts[name] == "not distinguishable"]
    if rest:
        yield f"classes not distinguishable: {', '.join(rest)}"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _interval(found: Difference | ImageInterval) -> str:
    return f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
