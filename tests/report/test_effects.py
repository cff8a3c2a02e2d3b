"""What the scores of trials follow: found where it is there, and not where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from rayseg.errors import RaysegError
from rayseg.report import effects


def _points(trials: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    rates, words = 10 ** rng.uniform(-4, -2, trials), rng.choice(["ce", "dice", "both"], trials)
    return [{"lr": float(rate), "loss": str(word), "same": 1} for rate, word in zip(rates, words, strict=True)]


def test_a_number_explains_the_square_of_spearmans_correlation() -> None:
    points = _points(16)
    scores = np.random.default_rng(3).standard_normal(16)
    keys, _ = effects(points, list(scores), shuffles=99)
    (rate,) = [each for each in keys if each.keys == ("lr",)]
    correlation = stats.spearmanr([point["lr"] for point in points], scores).statistic
    assert rate.explains == pytest.approx(correlation**2)
    assert rate.best == ("more" if correlation > 0 else "less")


def test_a_choice_explains_what_kruskal_and_wallis_test() -> None:
    points = _points(18)
    scores = np.random.default_rng(4).standard_normal(18)
    keys, _ = effects(points, list(scores), shuffles=99)
    (loss,) = [each for each in keys if each.keys == ("loss",)]
    groups = [
        [score for point, score in zip(points, scores, strict=True) if point["loss"] == word] for word in ("ce", "dice", "both")
    ]
    assert loss.explains * 17 == pytest.approx(stats.kruskal(*groups).statistic)


def test_the_key_that_decides_is_found_and_one_with_one_value_is_left_out() -> None:
    points = _points(16)
    keys, pairs = effects(points, [float(np.log(point["lr"])) for point in points])
    assert [each.keys for each in keys] == [("lr",), ("loss",)]
    assert keys[0].best == "more"
    assert keys[0].explains == pytest.approx(1.0)
    assert keys[0].p_value < 0.01
    assert keys[1].p_value > 0.05
    assert {each.keys for each in pairs} <= {("lr", "loss")}


def test_a_choice_names_its_best_value() -> None:
    points = [{"loss": word} for word in ("ce", "dice") * 6]
    keys, _ = effects(points, [float(point["loss"] == "dice") for point in points])
    assert keys[0].best == '"dice"'


def test_two_keys_that_matter_together_only_are_found_as_a_pair() -> None:
    rng = np.random.default_rng(1)
    points = [{"a": float(a), "b": float(b)} for a, b in rng.uniform(-1, 1, (32, 2))]
    keys, pairs = effects(points, [point["a"] * point["b"] for point in points])
    assert all(each.p_value > 0.05 for each in keys)
    assert (pairs[0].keys, pairs[0].p_value < 0.01) == (("a", "b"), True)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_that_is_best_in_the_middle_is_seen_from_twenty_trials_on(sign: int) -> None:
    rng = np.random.default_rng(5)
    points = [{"thresh": float(a), "lr": float(b)} for a, b in rng.uniform(0.1, 1, (20, 2))]
    scores = [-sign * (point["thresh"] - 0.5) ** 2 for point in points]
    keys, _ = effects(points, scores)
    assert (keys[0].keys, keys[0].best) == (("thresh",), "the middle" if sign > 0 else "the ends")
    assert keys[0].explains > 0.8
    assert keys[0].p_value < 0.01
    few, _ = effects(points[:19], scores[:19])
    assert max(each.explains for each in few) < 0.5


@pytest.mark.parametrize("trials", [12, 20])
def test_chance_is_called_an_effect_as_rarely_as_is_said(trials: int) -> None:
    rng = np.random.default_rng(2)
    called = np.zeros(2)
    for number in range(100):
        points = [{str(key): float(value) for key, value in enumerate(row)} for row in rng.uniform(size=(trials, 4))]
        found = effects(points, list(rng.standard_normal(trials)), shuffles=59, seed=number)
        called += [min(each.p_value for each in own) <= 0.05 for own in found]
    assert (called / 100 < 0.05 + 0.055).all()  # 2.5 standard errors


def test_the_unit_of_scores_and_numbers_does_not_matter() -> None:
    points, scores = _points(14), list(np.random.default_rng(6).standard_normal(14))
    other = [{**point, "lr": float(point["lr"]) ** 3} for point in points]
    assert effects(points, scores, shuffles=49) == effects(other, [np.exp(score) for score in scores], shuffles=49)


def test_few_trials_are_refused() -> None:
    with pytest.raises(RaysegError, match="7 trials are too few"):
        effects(_points(7), [0.0] * 7)
