"""What the scores follow: shares of keys and of pairs."""

from __future__ import annotations

from collections.abc import Sequence

from rayseg.report.effects import BENDS, Effect
from rayseg.report.page.markup import absent, section, table, tag, text
from rayseg.report.records import SweepRecords

__all__ = ["importance"]

_TITLE = "Importance"
_MAX_PAIRS = 5
#: A key is called more than chance up to this p, which holds for all keys together.
_TOLD = 0.05
_RANDOM = ("random", "grid")


def importance(records: SweepRecords) -> str:
    """Tables of keys and of the largest pairs, with the values that go with better scores.

    Args:
        records: of the sweep.

    Example:
        >>> found = [Effect(("optim.lr",), 0.5, 0.01, "more")]
        >>> "50 %" in importance(SweepRecords("s", "val/mIoU", "max", {}, [], key_effects=found))
        True
    """
    if not records.key_effects:
        return absent(_TITLE, records.effects_fault or "no key was varied so that its effect could be told")
    bred = any("lineage" in trial.row for trial in records.trials)
    when = "the first comparison, when no member had been replaced" if bred else "the last that all came to"
    note = (
        f"Share of the variance of the trials' ranks at step {records.effects_step}, {when}, without the "
        f"baseline. p: how often chance alone gives any row so much. A number that is best in the middle is seen from {BENDS} "
        f"trials on. A key that was varied little has a small share.{_learned(records.searcher)}"
    )
    answer = tag("p", text(_answer(records.key_effects, records.searcher)))
    keys = _table(("key", "share", "p", "better with"), records.key_effects)
    pairs = records.pair_effects[:_MAX_PAIRS]
    beyond = tag("p", "Pairs, of what the two leave over alone:", class_="note later")
    return section(_TITLE, answer, keys, *([beyond, _table(("pair", "share", "p"), pairs)] if pairs else []), note=note)


def _answer(found: Sequence[Effect], searcher: str) -> str:
    """What the table of keys says, in a sentence."""
    told = [each for each in found if each.p_value <= _TOLD]
    if told:
        named = ", ".join(f"{each.keys[0]} (better with {each.best})" if each.best else each.keys[0] for each in told)
        return f"More than chance: {named}." if searcher in _RANDOM else f"Largest: {named}."
    least = min(each.p_value for each in found)
    return (
        f"No key is told from chance: of shuffled scores {100 * least:.0f} % show as much as the largest here. "
        "That is no proof that none matters: few trials show large effects only."
    )


def _learned(searcher: str) -> str:
    """Of values that were chosen by earlier scores."""
    told = f" {searcher} chose values by earlier scores, so p means little here."
    return "" if searcher in _RANDOM else told


def _table(names: Sequence[str], found: Sequence[Effect]) -> str:
    kinds = ("name", "words", None, "words")
    head = [tag("th", name, class_=kind) for name, kind in zip(names, kinds, strict=False)]
    return table(head, [_row(each) for each in found], class_="keys")


def _row(each: Effect) -> str:
    share = f"{100 * each.explains:.0f}"
    bar = tag("span", tag("i", style=f"width:{share}%"), class_="bar")
    cells = [tag("td", text(" × ".join(each.keys)), class_="name"), tag("td", f"{bar}{share} %", class_="words")]
    cells += [tag("td", f"{each.p_value:.3f}")]
    return tag("tr", *cells, *([tag("td", text(each.best), class_="words")] if each.best else []))
