"""Verdicts on candidates: what they rest on, and how a person reads them."""

from __future__ import annotations

import numpy as np
import pytest

from rayseg.report import Candidate, PairRules, RecipeRuns, compare, render_candidates, seeds_wanted, standing

RULES = PairRules(seeds=4, max_seeds=6, smallest=0.01, candidates=2)
NAMES = ("road", "car", "pole")


def _runs(mean: float, noise: float, seed: int, num: int = 6, images: int = 8) -> RecipeRuns:
    rng = np.random.default_rng(seed)
    level = mean + noise * rng.standard_normal(num)
    scores = [
        {"val/mIoU": value, "val/IoU/road": 0.9, "val/IoU/car": value, "val/IoU/pole": mean / 2 + noise * draw}
        | {"val/loss": 1 - value, "test/mIoU": value - 0.1}
        for value, draw in zip(level, rng.standard_normal(num), strict=True)
    ]
    found = (1000 * level[:, None, None] * np.ones((1, images, 3))).astype(np.int64)
    counts = np.stack([found, np.full_like(found, 1000), np.full_like(found, 1000)], axis=2)
    return RecipeRuns(scores, {"val": counts, "test": counts})


def _compared(own: RecipeRuns, metric: str = "val/mIoU", mode: str = "max") -> Candidate:
    before = _runs(0.5, 0.002, 0)
    return compare("a", {}, before, own, metric=metric, mode=mode, rules=RULES, class_names=NAMES)  # type: ignore[arg-type]


def test_a_recipe_that_gains_is_better_overall_by_class_by_image_and_on_test() -> None:
    found = _compared(_runs(0.6, 0.002, 1))
    assert (found.verdict, standing([found])) == ("better", "a")
    assert found.class_verdicts == {"road": "not distinguishable", "car": "better", "pole": "better"}
    assert found.test is not None
    assert found.test.verdict() == "better"
    assert found.images["test"]["mIoU"].low > 0
    assert found.score - found.baseline == pytest.approx(found.difference.mean if found.difference else 0)


def test_less_loss_is_better_and_classes_are_judged_by_their_scores() -> None:
    found = _compared(_runs(0.6, 0.002, 1), "val/loss", "min")
    assert (found.verdict, standing([found], "min")) == ("better", "a")
    assert found.class_verdicts["car"] == "better"
    assert found.test is None  # nobody scored it


def test_verdicts_rest_on_as_many_pairs_as_the_first_ones_ask_for() -> None:
    before, loud, still = _runs(0.5, 0.002, 0), _runs(0.5, 0.05, 2), _runs(0.6, 0.0001, 3)
    assert [seeds_wanted(before, own, "val/mIoU", RULES) for own in (loud, still)] == [6, 4]
    cut = RecipeRuns(still.scores[:4], {split: counts[:4] for split, counts in still.counts.items()})
    assert _compared(cut) == _compared(still)


def test_a_recipe_that_fails_with_a_seed_is_neither_better_nor_worse() -> None:
    found = _compared(RecipeRuns([], fault="seed 3: NonFiniteLossError: the loss became NaN"))
    assert (found.verdict, standing([found])) == ("failed", "baseline")


def test_what_stands_is_the_best_of_the_better_ones() -> None:
    good, best, same = _compared(_runs(0.6, 0.002, 1)), _compared(_runs(0.7, 0.002, 4)), _compared(_runs(0.5, 0.05, 2))
    named = [Candidate(**{**vars(each), "name": name}) for name, each in {"good": good, "best": best, "same": same}.items()]
    assert standing(named) == "best"
    assert standing(named[2:]) == "baseline"
    text = render_candidates(named, "val/mIoU", "max", RULES)
    assert text.endswith("to go on with: best")
    assert "same and the baseline are not distinguishable: val/mIoU " in text
    assert f"a difference of 0.01 may be there: the spread between seeds asks for {same.asked} pairs to tell" in text
    assert text.count("on the test split, looked at once, afterwards: test/mIoU +") >= 2


def test_a_difference_that_is_small_for_sure_is_said_to_be_so() -> None:
    text = render_candidates([_compared(_runs(0.5, 0.0001, 5))], "val/mIoU", "max", RULES)
    assert "a difference of more than 0.01 either way is excluded" in text


def test_an_interval_that_is_narrow_enough_asks_for_no_more_pairs() -> None:
    before = RecipeRuns([{"val/mIoU": 0.0}] * 4)
    own = RecipeRuns([{"val/mIoU": value} for value in (0.005, 0.009, 0.001, 0.006)])
    rules = PairRules(seeds=4, max_seeds=4, smallest=0.006)
    found = compare("a", {}, before, own, metric="val/mIoU", mode="max", rules=rules)
    text = render_candidates([found], "val/mIoU", "max", rules)
    assert "the interval is as narrow as was asked for, +-0.006, and holds zero" in text


def test_the_test_split_is_judged_by_the_look_that_validation_was_judged_by() -> None:
    before, loud = _runs(0.5, 0.002, 0), _runs(0.55, 0.05, 2)
    loud = RecipeRuns([{**row, "test/mIoU": row["val/mIoU"] + 0.3} for row in loud.scores])
    before = RecipeRuns([{**row, "test/mIoU": row["val/mIoU"] + 0.3} for row in before.scores])
    for rules in (RULES, PairRules(seeds=4, max_seeds=6, smallest=1.0), PairRules(seeds=4, max_seeds=4)):
        found = compare("a", {}, before, loud, metric="val/mIoU", mode="max", rules=rules)
        assert found.difference is not None
        assert found.test is not None
        assert (found.test.low, found.test.high) == pytest.approx((found.difference.low, found.difference.high))
