"""The page of a sweep: what it says of made-up records, that it is well formed, and that it needs nothing else."""

from __future__ import annotations

import math
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rayseg.report import (
    Candidate,
    Effect,
    PairRules,
    RecipeRuns,
    ShownImage,
    SweepRecords,
    TrialRecord,
    compare,
    rank_table,
    render_report,
)
from rayseg.report.confirmation import Mode
from rayseg.report.page.parallel import make_axis

METRIC = "val/mIoU"
EVIL = '<script src="https://evil.example/x.js">&'


class Parsed(HTMLParser):
    """Text by element, attributes, and whether every element is closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"img", "meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open:
            self.texts.append((self.open[-1], data))

    def of(self, tag: str) -> list[str]:
        return [text for own, text in self.texts if own == tag]

    def classed(self, tag: str, *classes: str) -> list[dict[str, str | None]]:
        return [attrs for own, attrs in self.elements if own == tag and {*classes} <= {*(attrs.get("class") or "").split()}]

    def count(self, tag: str, class_: str) -> int:
        return len(self.classed(tag, class_))


def _trial(name: str, rank: int | None, score: float, **row: object) -> TrialRecord:
    scores = {METRIC: score, "val/IoU/sky": score + 0.1, "val/IoU/road": score - 0.1}
    own = {"rank": rank, "trial": name, "step": 20, "status": "full", "fault": None, "optim.lr": 0.01, **scores, **row}
    half = {METRIC: score / 2, "val/IoU/sky": score / 2}
    return TrialRecord(own, [(10, half), (20, {METRIC: score})] if rank else [])


@pytest.fixture(scope="module")
def records() -> SweepRecords:
    trials = [
        _trial("a_1", 1, 0.625),
        _trial("baseline", 2, 0.5, **{"losses.dice": None}),
        _trial("a_2", 3, 0.4375, **{"losses.dice": EVIL, "status": "stopped early", "step": 10}),
        _trial(EVIL, None, math.nan, status="failed", fault=f"NonFiniteLossError: {EVIL}"),
    ]
    space = {"optim.lr": "0.001 to 0.1, log", "losses.dice": f"one of None, {EVIL}"}
    return SweepRecords("recipes", METRIC, "max", space, trials, total_steps=20, seconds=90.0)


def test_the_page_is_well_formed_says_its_values_and_asks_for_nothing(records: SweepRecords) -> None:
    page = render_report(replace(records, images=[ShownImage(b"i", b"l", {"baseline": (b"p", b"w"), EVIL: (b"p", b"w")})]))
    found = Parsed(page)
    assert found.open == []
    assert {"recipes: sweep report"} == set(found.of("title")[:1])
    assert {"0.6250", "+0.1250", "+0.1875", "stopped early"} <= set(found.of("td"))
    assert "a_1 ranks first with val/mIoU 0.6250, +0.1250 beside the baseline." in " ".join(found.of("p"))
    assert any("NonFiniteLossError" in text for text in found.of("li"))
    assert f"{EVIL[:23]}…" in found.of("td")
    assert EVIL not in page
    assert not {tag for tag, _ in found.elements} & {"script", "link", "iframe", "object", "base"}
    addresses = [value for _, attrs in found.elements for key, value in attrs.items() if key in {"src", "href", "srcset"}]
    assert len(addresses) == 6
    assert all(str(value).startswith("data:image/png;base64,") for value in addresses)
    assert "url(" not in page
    assert "@import" not in page


def test_baseline_and_best_stand_out_of_the_curves(records: SweepRecords) -> None:
    found = Parsed(render_report(records))
    dots = {kind: found.classed("path", kind, "dot") for kind in ("best", "base", "other")}
    assert {kind: [str(each["d"]).count("h0") for each in own] for kind, own in dots.items()} == {
        "best": [2],
        "base": [2],
        "other": [1],
    }
    assert [found.count("path", kind) for kind in ("best", "other")] == [3, 3]  # in the key, line, dots
    assert found.count("path", "failed") == 1
    assert found.count("path", "trial") == 2


def test_differences_are_told_at_the_step_of_the_trial_and_not_elsewhere(records: SweepRecords) -> None:
    cells = Parsed(render_report(records)).of("td")
    assert cells[cells.index("a_2") :][:3] == ["a_2", "0.4375", "+0.1875"]  # the baseline had .25 then, and .5 at its end
    later = [replace(trial, row={**trial.row, "step": 15}) if trial.name == "a_2" else trial for trial in records.trials]
    cells = Parsed(render_report(replace(records, trials=later))).of("td")
    assert cells[cells.index("a_2") :][:3] == ["a_2", "0.4375", "–"]
    assert cells[cells.index("sky") :][:4] == ["sky", "60.0", "+12.5", "–"]


def test_differences_by_class_are_points_beside_the_baseline(records: SweepRecords) -> None:
    cells = Parsed(render_report(records)).of("td")
    row = cells[cells.index("sky") :][:4]
    assert row == ["sky", "60.0", "+12.5", "+28.7"]
    bare = [replace(trial, row={**trial.row, "val/IoU/sky": None}) for trial in records.trials]
    cells = Parsed(render_report(replace(records, trials=bare))).of("td")
    assert cells[cells.index("sky") :][:4] == ["sky", "–", "–", "–"]


def test_what_is_not_there_is_said(records: SweepRecords) -> None:
    faults = replace(records, images_fault="DataError: gone", effects_fault="7 trials are too few")
    page = " ".join(text for _, text in Parsed(render_report(faults)).texts)
    for said in ("Not asked for.", "7 trials are too few", "none: DataError: gone", "not kept"):
        assert said in page
    alone = replace(records, trials=[trial for trial in records.trials if trial.name != "baseline"])
    assert "the baseline has no score" in render_report(alone)
    empty = render_report(replace(records, trials=[]))
    assert Parsed(empty).open == []
    for said in ("No trial has a score.", "no trial was evaluated by val/mIoU", "no trial with a score and a sampled value"):
        assert said in empty


def test_verdicts_come_first(records: SweepRecords) -> None:
    rules = PairRules(seeds=3, max_seeds=3, smallest=0.1)
    runs = [RecipeRuns([{METRIC: score} for score in scores]) for scores in ((0.40, 0.41, 0.39), (0.50, 0.52, 0.49))]
    better = compare("a_1", {}, *runs, metric=METRIC, mode="max", rules=rules)
    failed = Candidate("a_2", {}, "failed", fault=EVIL)
    told = Parsed(render_report(replace(records, candidates=[better, failed], rules=rules)))
    assert told.of("p")[0] == "Confirmed: a_1 is better than the baseline, by +0.1033 val/mIoU over 3 pairs of seeds."
    assert told.count("div", "interval") == 1
    assert {"better", "failed"} <= set(told.of("td"))
    none = Parsed(render_report(replace(records, candidates=[failed], rules=rules))).of("p")[0]
    assert none == "Go on with the baseline: no recipe is better (1 failed)."


def test_importance_is_told_in_shares_and_a_learning_searcher_is_named(records: SweepRecords) -> None:
    keys, pairs = [Effect(("optim.lr",), 0.625, 0.001, "more")], [Effect(("optim.lr", EVIL), 0.25, 0.5)]
    told = replace(records, key_effects=keys, pair_effects=pairs, effects_step=10, searcher="optuna")
    found = Parsed(render_report(told))
    cells = found.of("td")
    assert cells[cells.index("62 %") - 1 :][:4] == ["optim.lr", "62 %", "0.001", "more"]
    assert cells[cells.index(f"optim.lr × {EVIL}") :][:3] == [f"optim.lr × {EVIL}", "25 %", "0.500"]
    assert found.of("p")[-6:].count("Largest: optim.lr (better with more).") == 1
    assert any("at step 10" in text and "optuna chose values by earlier scores" in text for text in found.of("p"))


def test_what_importance_says_is_said_in_words(records: SweepRecords) -> None:
    def said(*found: Effect) -> list[str]:
        return Parsed(render_report(replace(records, key_effects=found))).of("p")

    chance = Effect(("sampling.thresh",), 0.05, 0.92, "less")
    assert "More than chance: optim.lr (better with more)." in said(Effect(("optim.lr",), 0.6, 0.01, "more"), chance)
    assert any("of shuffled scores 92 % show as much as the largest here" in text for text in said(chance))


def test_other_pages_about_a_sweep_are_linked(records: SweepRecords) -> None:
    assert Parsed(render_report(records)).of("a") == []
    found = Parsed(
        render_report(replace(records, links={"trials side by side": "http://tracker/#/experiments/1/runs?a=b&c=d"}))
    )
    assert found.of("a") == ["trials side by side"]
    (linked,) = [attrs for name, attrs in found.elements if name == "a"]
    assert (linked["href"], linked["rel"]) == ("http://tracker/#/experiments/1/runs?a=b&c=d", "noopener")


def test_a_long_leaderboard_is_folded(records: SweepRecords) -> None:
    trials = [_trial(f"t{index}", index + 1, 0.9 - 0.01 * index) for index in range(30)]
    found = Parsed(render_report(replace(records, trials=trials)))
    assert found.of("summary")[0] == "5 more trials"
    assert {f"t{index}" for index in range(30)} <= set(found.of("td"))


def test_further_objectives_have_columns_and_the_front_is_marked(records: SweepRecords) -> None:
    assert "front" not in Parsed(render_report(records)).of("th")
    trials = [replace(trial, row={**trial.row, "perf/step_s": 0.25, "front": trial.name == "a_1"}) for trial in records.trials]
    found = Parsed(render_report(replace(records, trials=trials, others=("perf/step_s",))))
    assert {"perf/step_s", "front"} <= set(found.of("th"))
    assert found.of("td").count("●") == 1


def test_objectives_are_drawn_against_each_other_and_the_front_stands_out(records: SweepRecords) -> None:
    times = {"a_1": 0.4, "baseline": 0.2, "a_2": 0.3}
    rows = [{**trial.row, "perf/step_s": times.get(trial.name)} for trial in records.trials]
    rows = [row if row["trial"] == EVIL else {**row, "front": row["trial"] != "a_2"} for row in rows]
    told = replace(records, trials=[TrialRecord(row) for row in rows], others=("perf/step_s",))
    found = Parsed(render_report(told))
    assert [found.count("path", kind) for kind in ("large", "ring")] == [3, 1]
    places = {str(each["class"]): str(each["d"]) for each in found.classed("path", "large")}
    assert [len(found.classed("path", kind, "large")) for kind in ("best", "other")] == [2, 1]
    assert places["other dot large"].startswith("M50.00 ")
    assert any("a_1: val/mIoU 0.625, perf/step_s 0.4" in text for text in found.of("title"))
    assert found.open == []
    assert "Objectives" not in Parsed(render_report(records)).of("h2")
    unknown = [TrialRecord({**row, "perf/step_s": math.nan}) for row in rows]
    assert "Objectives" not in Parsed(render_report(replace(told, trials=unknown))).of("h2")


def test_less_can_be_better(records: SweepRecords) -> None:
    trials = [_trial("a_1", 1, 0.25), _trial("baseline", 2, 0.5)]
    page = render_report(replace(records, mode="min", trials=trials))
    (line,) = Parsed(page).classed("path", "trial")
    assert str(line["d"]).endswith("L100.00 0.00")
    assert "var(--high) 100%" in str(line["style"])
    assert "less is better" in page
    assert ';top:0.00%" title="0.2500"' in page


def test_axes_are_logarithmic_where_values_span_decades() -> None:
    assert make_axis([0.001, 0.01, 0.1])(0.01) == pytest.approx(50.0)
    assert make_axis([0.0, 0.5, 1.0])(0.5) == pytest.approx(50.0)
    assert make_axis([2.0, 2.0])(2.0) == pytest.approx(50.0)
    mixed = make_axis([{"type": "dice"}, True, None])
    assert [mixed({"type": "dice"}), mixed(True), mixed(None)] == [21.0, 63.0, 100.0]


NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
REPORTED = st.one_of(NUMBERS, st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf]))
SCORES = st.one_of(st.none(), REPORTED)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-9, 10**6), NUMBERS, st.text(max_size=30), st.just({"type": "dice"}))


@st.composite
def any_records(draw: st.DrawFn) -> SweepRecords:
    """What a sweep might leave, however it went."""
    rows = []
    for index in range(draw(st.integers(0, 4))):
        scores = {METRIC: draw(SCORES), "val/IoU/sky": draw(SCORES)}
        row = {"trial": f"t{index}", "step": draw(st.integers(1, 9)), "status": draw(st.sampled_from(["full", "failed"]))}
        rows.append({**row, "optim.lr": draw(VALUES), "losses.dice": draw(VALUES), **scores})
    if rows:
        rows[-1]["trial"] = "baseline"
    mode: Mode = "max" if draw(st.booleans()) else "min"
    ranked = rank_table(rows, METRIC, mode)
    histories = [[(row["step"], {METRIC: draw(REPORTED)})] if draw(st.booleans()) else [] for row in ranked]
    trials = [TrialRecord(row, history) for row, history in zip(ranked, histories, strict=True)]
    return SweepRecords("any", METRIC, mode, {"optim.lr": "a", "losses.dice": "b"}, trials)


@settings(max_examples=40, deadline=None)
@given(any_records())
def test_whatever_a_sweep_left_has_a_page(records: SweepRecords) -> None:
    found = Parsed(render_report(records))
    assert found.open == []
    drawn = " ".join(str(attrs.get("d")) + str(attrs.get("style")) for _, attrs in found.elements)
    assert "nan" not in drawn
    assert "inf" not in drawn
