"""Differences over paired seeds: how large, how sure, and how many pairs their spread asks for.

Two recipes that are trained with the same seed see the same images in the same order from the same initial weights, so the
difference of their scores varies less than the scores. Over n seeds the differences are taken for independent and normal.

The number of pairs follows Stein (1945): from the spread s of the first m pairs alone, ``N = (t s / smallest)^2`` are asked
for, and the interval of their mean, ``± t s / sqrt(N)`` with m - 1 degrees of freedom, covers the truth as often as it says,
whatever the unknown spread is and wherever N is capped. It may not look at the mean. To end early where the first m pairs tell
enough, a fifth of the permitted error is spent on one look at them, four fifths on the last; by Bonferroni the sum is kept, and
so it is over several candidates, which are compared with one baseline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rayseg.errors import RaysegError

__all__ = ["Difference", "Judgement", "PairRules", "Verdict", "judge", "paired_difference", "pairs_wanted", "verdicts_of_many"]

#: What may be said of a recipe beside the baseline.
Verdict = Literal["better", "not distinguishable", "worse"]

#: Of the permitted error, spent on the look after the first pairs.
_FIRST_SHARE = 0.2


@dataclass(frozen=True)
class Difference:
    """A mean difference with its interval.

    Args:
        mean: of the pairs, in units of the score.
        low: end of the interval.
        high: end of the interval.
        pairs: how many.
        spread: sample standard deviation of the pairs that the interval rests on.
        p_value: of no difference, two-sided.
    """

    mean: float
    low: float
    high: float
    pairs: int
    spread: float
    p_value: float

    def verdict(self, mode: Literal["max", "min"] = "max") -> Verdict:
        """What the interval says: it leaves zero out, or it does not.

        Args:
            mode: ``max`` if more is better.

        Example:
            >>> paired_difference([0.03, 0.04, 0.05]).verdict(), paired_difference([0.03, 0.04, 0.05]).verdict("min")
            ('better', 'worse')
        """
        if self.low <= 0 <= self.high:
            return "not distinguishable"
        return "better" if (self.low > 0) == (mode == "max") else "worse"


def paired_difference(values: Sequence[float], *, error: float = 0.05, first: int | None = None) -> Difference:
    """Mean of paired differences with Student's interval, or Stein's.

    Args:
        values: candidate minus baseline, one per seed, at least two.
        error: how often the interval may miss the truth.
        first: the spread is that of so many first values, which decided how many there are (Stein 1945); None: of all.

    Raises:
        RaysegError: there are fewer than two.

    Example:
        >>> found = paired_difference([0.042, 0.038, 0.058])
        >>> f"{found.mean:.3f}: {found.low:.3f} to {found.high:.3f}"
        '0.046: 0.020 to 0.072'
    """
    own = list(values[:first])
    spread, mean, freedom = _spread(own), math.fsum(values) / len(values), len(own) - 1
    of_mean = spread / math.sqrt(len(values))
    half = _quantile(freedom, 1 - error / 2) * of_mean
    statistic = abs(mean) / of_mean if of_mean > 0 else math.inf if mean else 0.0
    return Difference(mean, mean - half, mean + half, len(values), spread, 2 * _probability(freedom, -statistic))


def _quantile(freedom: int, probability: float) -> float:
    """Of Student's t."""
    from scipy.special import stdtrit  # noqa: PLC0415  a second of every worker's start, and workers judge nothing

    return float(stdtrit(freedom, probability))


def _probability(freedom: int, statistic: float) -> float:
    """That Student's t is less."""
    from scipy.special import stdtr  # noqa: PLC0415  see above

    return float(stdtr(freedom, statistic))


def _spread(values: Sequence[float]) -> float:
    """Sample standard deviation."""
    if len(values) < 2:
        raise RaysegError(f"{len(values)} pairs tell no spread; give at least 2")
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


@dataclass(frozen=True)
class PairRules:
    """How many pairs are trained, and what may be concluded from them.

    Args:
        seeds: pairs that every candidate gets, at least 2.
        max_seeds: no candidate gets more.
        smallest: half the width of the interval that is wanted, in units of the score: a difference that matters.
        candidates: recipes that are compared with the baseline; intervals hold for all together.
        error: how often any of the intervals may miss the truth.
    """

    seeds: int = 5
    max_seeds: int = 10
    smallest: float = 0.005
    candidates: int = 1
    error: float = 0.05

    @property
    def first_error(self) -> float:
        """Of one candidate's interval after the first pairs; 0 where more are never trained."""
        return 0.0 if self.max_seeds == self.seeds else _FIRST_SHARE * self.error / self.candidates

    @property
    def last_error(self) -> float:
        """Of one candidate's interval after the last pairs."""
        return self.error / self.candidates - self.first_error


@dataclass(frozen=True)
class Judgement:
    """What was found out about one candidate.

    Args:
        difference: with the interval that holds for all candidates together.
        verdict: what it says.
        asked: pairs that the spread asks for; more than there are where ``max_seeds`` has capped them.
        error: how often the interval of this look may miss the truth.
    """

    difference: Difference
    verdict: Verdict
    asked: int
    error: float


def _asked(first: Sequence[float], rules: PairRules) -> int:
    """Stein's number of pairs."""
    if len(first) < rules.seeds:
        raise RaysegError(
            f"{len(first)} pairs, but the rules want {rules.seeds} before they say anything; train the others first"
        )
    quantile = _quantile(len(first) - 1, 1 - rules.last_error / 2)
    return max(rules.seeds, math.ceil((quantile * _spread(first) / rules.smallest) ** 2))


def _first_look(values: Sequence[float], rules: PairRules) -> Difference | None:
    """The difference of the first pairs where they tell enough and more are asked for; None otherwise."""
    first = values[: rules.seeds]
    if rules.first_error == 0 or _asked(first, rules) <= rules.seeds:
        return None
    found = paired_difference(first, error=rules.first_error)
    return None if found.verdict() == "not distinguishable" else found


def pairs_wanted(values: Sequence[float], rules: PairRules) -> int:
    """How many pairs a candidate needs, told from its first ``rules.seeds``.

    Args:
        values: candidate minus baseline, one per seed; at least ``rules.seeds``.
        rules: see there.

    Raises:
        RaysegError: there are fewer.

    Example:
        >>> pairs_wanted([0.048, 0.055, 0.051, 0.046, 0.050], PairRules())
        5
        >>> pairs_wanted([0.011, -0.009, 0.002, 0.012, -0.003], PairRules(max_seeds=12))
        12
    """
    first = values[: rules.seeds]
    return rules.seeds if _first_look(first, rules) is not None else min(_asked(first, rules), rules.max_seeds)


def judge(values: Sequence[float], rules: PairRules, mode: Literal["max", "min"] = "max") -> Judgement:
    """The verdict on a candidate from its paired differences.

    Args:
        values: candidate minus baseline, one per seed, in the order of seeds; as many as :func:`pairs_wanted`, or more, which
            are not looked at.
        rules: see there.
        mode: ``max`` if more is better.

    Raises:
        RaysegError: there are fewer pairs than ``rules.seeds``.

    Example:
        >>> judge([0.048, 0.055, 0.051, 0.046, 0.050], PairRules()).verdict
        'better'
    """
    asked, error = _asked(values[: rules.seeds], rules), rules.first_error
    found = _first_look(values, rules)
    if found is None:
        wanted, error = min(asked, rules.max_seeds), rules.last_error
        found = paired_difference(values[:wanted], error=error, first=rules.seeds)
    return Judgement(found, found.verdict(mode), asked, error)


def verdicts_of_many(
    found: Mapping[str, Difference], mode: Literal["max", "min"] = "max", *, share: float = 0.05
) -> dict[str, Verdict]:
    """Verdicts on many differences at once, such as those of the classes (Benjamini and Hochberg 1995).

    Of those that are called better or worse, a ``share`` is called so wrongly, on average. A difference whose own interval
    leaves zero out may not be called.

    Args:
        found: a difference by name.
        mode: ``max`` if more is better.
        share: permitted among those that are called.

    Example:
        >>> sure, unsure = paired_difference([0.04, 0.05, 0.045]), paired_difference([0.04, -0.05, 0.01])
        >>> verdicts_of_many({"car": sure, "sky": unsure})
        {'car': 'better', 'sky': 'not distinguishable'}
    """
    ordered = sorted(found, key=lambda name: found[name].p_value)
    called = [rank for rank, name in enumerate(ordered, 1) if found[name].p_value <= share * rank / len(ordered)]
    names = set(ordered[: max(called, default=0)])
    return {name: _sign(each, mode) if name in names else "not distinguishable" for name, each in found.items()}


def _sign(found: Difference, mode: Literal["max", "min"]) -> Verdict:
    return "better" if (found.mean > 0) == (mode == "max") else "worse"
