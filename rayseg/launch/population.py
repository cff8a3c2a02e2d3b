"""A population that is trained in intervals: who goes on, whose weights replace whose, with which recipe. No Ray, no files.

::

    0        every      2*every        total
    |---m1-----|---m1------|---m1--------|     m1 among the best: goes on
    |---m2-----|---m2------|  replaced         m2 among the worst at 2*every: its run ends there,
                           |---m2-400----|     m2-400 begins with m1's weights and m1's recipe, perturbed

All members are compared at the same step, when all of them have come there (synchronous PBT: Jaderberg et al. 2017, appendix
A.1). So what is found is a function of the seed and not of which trials ran side by side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from rayseg.launch.bandit import Observation, choose
from rayseg.launch.perturb import from_unit, perturbed, to_unit
from rayseg.space import FlatSpace

__all__ = ["Population", "PopulationRules", "Segment"]


@dataclass(frozen=True)
class PopulationRules:
    """How a population is bred.

    Args:
        kind: ``pbt`` perturbs the donor's recipe, ``pb2`` asks a Gaussian process for one.
        first: step of the first comparison.
        every: steps between comparisons.
        total: steps of a run.
        quantile: share of the population that is replaced at a comparison, at most half.
        resample: with ``pbt``, probability that a value is drawn anew.
        mode: whether more or less of the score is better.
        seed: of the sweep.
    """

    kind: Literal["pbt", "pb2"]
    first: int
    every: int
    total: int
    quantile: float
    resample: float
    mode: Literal["max", "min"]
    seed: int

    @property
    def ends(self) -> list[int]:
        """Last steps of the intervals.

        Example:
            >>> PopulationRules("pbt", 200, 100, 350, 0.25, 0.25, "max", 0).ends
            [200, 300, 350]
        """
        return [*range(self.first, self.total, self.every), self.total]

    def better(self, score: float) -> float:
        """The score, so that more is better."""
        return score if self.mode == "max" else -score


@dataclass(frozen=True)
class Segment:
    """A member's training in an interval.

    Args:
        member: its number, from 1.
        interval: its number, from 0.
        run: name of the run that it is part of.
        recipe: dotted key -> value.
        start: its first step.
        until: one past its last step.
        donor: run whose weights it begins with, where that is another one.
        replaces: run of the same member that has ended for it.
    """

    member: int
    interval: int
    run: str
    recipe: Mapping[str, Any]
    start: int
    until: int
    donor: str | None = None
    replaces: str | None = None


@dataclass
class Population:
    """What is to be trained next, and what became of it.

    Args:
        rules: of the breeding.
        space: of the recipes.
        recipes: of the members at the beginning.

    Example:
        >>> from rayseg.space import log_uniform
        >>> rules = PopulationRules("pbt", 10, 10, 20, 0.5, 0.0, "max", 0)
        >>> population = Population(rules, {"optim.lr": log_uniform(0.1, 10.0)}, [{"optim.lr": 1.0}, {"optim.lr": 2.0}])
        >>> [segment.run for segment in population.segments]
        ['m1', 'm2']
        >>> for segment, score in zip(list(population.segments), [0.7, 0.5], strict=True):
        ...     population.ended(segment, score)
        >>> [(segment.run, segment.donor) for segment in population.segments]
        [('m1', None), ('m2-10', 'm1')]
    """

    rules: PopulationRules
    space: FlatSpace
    recipes: Sequence[Mapping[str, Any]]
    segments: list[Segment] = field(default_factory=list)
    past: list[list[Segment]] = field(default_factory=list)
    scores: dict[tuple[int, int], float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        until = self.rules.ends[0]
        self.segments = [Segment(number, 0, f"m{number}", recipe, 0, until) for number, recipe in enumerate(self.recipes, 1)]

    def ended(self, segment: Segment, score: float | None) -> None:
        """A segment of the present interval has come to its end; the last one brings the next interval.

        Args:
            segment: which.
            score: at its end; None where it has failed, or not come there.
        """
        finite = score is not None and math.isfinite(score)
        self.scores[segment.member, segment.interval] = score if finite else None
        if all((each.member, each.interval) in self.scores for each in self.segments):
            self._next()

    @property
    def over(self) -> bool:
        """Whether nothing is left to be trained."""
        return not self.segments

    def lineage(self, run: str) -> list[Segment]:
        """The segments that made the weights of a run, its own and its donors', from step 0 on."""
        every = [*(each for interval in self.past for each in interval), *self.segments]
        segment = max((each for each in every if each.run == run), key=lambda each: each.interval)
        found = [segment]
        while segment.interval > 0:
            before = segment.donor or segment.run
            segment = next(each for each in every if each.run == before and each.interval == segment.interval - 1)
            found.insert(0, segment)
        return found

    def _next(self) -> None:
        done = self.segments
        self.past.append(done)
        interval = len(self.past)
        alive = [each for each in done if self._score(each) is not None]
        if interval == len(self.rules.ends) or not alive:
            self.segments = []
            return
        donors = self._donors(done)
        bred: list[Segment] = []
        for each in done:
            bred.append(self._successor(each, donors.get(each.member), bred, interval))
        self.segments = bred

    def _score(self, segment: Segment) -> float | None:
        score = self.scores[segment.member, segment.interval]
        return None if score is None else self.rules.better(score)

    def _donors(self, done: Sequence[Segment]) -> dict[int, Segment]:
        """Member -> whose weights replace its own: the worst of them, and all that failed, by one of the best."""
        scored = sorted(
            ((score, each) for each in done if (score := self._score(each)) is not None),
            key=lambda pair: (pair[0], -pair[1].member),
        )
        ranked = [each for _, each in scored]
        count = min(math.ceil(self.rules.quantile * len(done)), len(ranked) // 2)
        best = ranked[-max(1, count) :]
        worst = [each for each in ranked[:count] if self._score(each) != self._score(ranked[-1])]
        lost = [*worst, *(each for each in done if self._score(each) is None)]
        return {each.member: best[int(self._rng(each).integers(len(best)))] for each in lost}

    def _rng(self, segment: Segment) -> np.random.Generator:
        return np.random.default_rng([self.rules.seed, segment.interval, segment.member])

    def _successor(self, ended: Segment, donor: Segment | None, bred: Sequence[Segment], interval: int) -> Segment:
        begins, until = ended.until, self.rules.ends[interval]
        if donor is None:
            return Segment(ended.member, interval, ended.run, ended.recipe, begins, until)
        recipe = self._explored(ended, donor, bred)
        return Segment(ended.member, interval, f"m{ended.member}-{begins}", recipe, begins, until, donor.run, ended.run)

    def _explored(self, ended: Segment, donor: Segment, bred: Sequence[Segment]) -> dict[str, Any]:
        """A recipe to try with the donor's weights."""
        rng = np.random.default_rng([self.rules.seed, ended.interval, ended.member, 1])
        if self.rules.kind == "pbt":
            return {key: perturbed(each, donor.recipe[key], rng, self.rules.resample) for key, each in self.space.items()}
        pending = [to_unit(self.space, dict(each.recipe)) for each in [*bred, *self._going_on(ended)]]
        score = self._score(donor)
        assert score is not None
        place = choose(self._observations(), ended.interval + 1, score, pending, len(self.space), rng)
        return dict(from_unit(self.space, place))

    def _going_on(self, ended: Segment) -> list[Segment]:
        """Members that come after this one and keep their recipe."""
        lost = self._donors(self.past[-1])
        return [each for each in self.past[-1] if each.member > ended.member and each.member not in lost]

    def _observations(self) -> list[Observation]:
        """What every segment gained. All begin with the same weights, so the first gains are beside the worst of them."""
        found = []
        for number, interval in enumerate(self.past):
            scores = [score for each in interval if (score := self._score(each)) is not None]
            for each in interval:
                after = self._score(each)
                before = min(scores, default=0.0) if number == 0 else self._begun_with(each)
                if after is not None and before is not None:
                    place = tuple(to_unit(self.space, dict(each.recipe)))
                    found.append(Observation(number, before, place, after - before))
        return found

    def _begun_with(self, segment: Segment) -> float | None:
        """The score of the weights that a segment began with."""
        before = segment.donor or segment.run
        return next(self._score(each) for each in self.past[segment.interval - 1] if each.run == before)
