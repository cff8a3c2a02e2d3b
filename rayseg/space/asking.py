"""Searchers that choose the next point by the scores of those before it: one asks for a point, tries it, and tells its score.

They need neither Ray nor a trial that trains, so that they can be compared on a table.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from rayseg.errors import ConfigError, Problem
from rayseg.space.dimensions import Choice, IntUniform, LogUniform, Uniform
from rayseg.space.parts import Dimension, Space
from rayseg.space.points import broken_rules, draw_point
from rayseg.space.sampled import drawn_anew, point_name

__all__ = ["Asker", "KnownTrial", "Listed", "Method", "OptunaAsker"]

#: Of Optuna's samplers: the tree-structured Parzen estimator, and a Gaussian process.
Method = Literal["optuna", "gp"]

#: Proposals that may break a rule, one after the other, before a random point is taken that keeps them.
_TRIES = 50
#: Proposals that may have been tried, before a random one is taken that was not; a Gaussian process thinks for a second.
_AGAIN: Mapping[Method, int] = {"optuna": 20, "gp": 3}

#: What was drawn for a trial that is known, and its scores.
KnownTrial = tuple[Mapping[str, Any], Sequence[float]]


class Asker(Protocol):
    """Chooses points, and may learn from scores."""

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """The number of the next trial and its point; None where there is no more."""
        ...

    def tell(self, number: int, scores: Sequence[float] | None, *, step: int | None = None) -> None:
        """What became of a trial.

        Args:
            number: of the trial.
            scores: one per objective; None: it failed.
            step: at which it was ended early; None: it came to its end.
        """
        ...


class Listed:
    """Points that are known beforehand, such as those of a random search or a grid.

    Args:
        points: in their order.

    Example:
        >>> asker = Listed([{"optim.lr": 0.1}])
        >>> asker.ask(), asker.ask()
        ((0, {'optim.lr': 0.1}), None)
    """

    def __init__(self, points: Sequence[Mapping[str, Any]]) -> None:
        self._points = [dict(point) for point in points]
        self._next = 0

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """The next of them."""
        if self._next == len(self._points):
            return None
        self._next += 1
        return self._next - 1, self._points[self._next - 1]

    def tell(self, number: int, scores: Sequence[float] | None, *, step: int | None = None) -> None:
        """Nothing is learnt."""


class OptunaAsker:
    """Points that Optuna proposes.

    A choice is searched by its number, because Optuna knows numbers and text only. What is drawn under a condition is a
    parameter of those trials only that have it. A trial that was ended early counts as pruned at its step, which ranks it
    below those that came further; with several objectives, which have no such order, it counts as failed. A proposal that
    breaks a rule is told to have failed and another one is asked for; after 50 of them a random point is tried that keeps the
    rules. No point is proposed twice, nor one that is known: the same run would give the same score. When a space of choices
    has no other left, nothing is proposed any more.

    Args:
        space: what is searched.
        modes: ``max`` or ``min`` of each objective.
        seed: of the sampler.
        method: ``optuna`` is the tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for Hyper-Parameter
            Optimization"), ``gp`` a Gaussian process.
        known: trials to learn from before the first.

    Raises:
        ConfigError: there is a dimension that Optuna does not know, when a point is asked for.

    Example:
        >>> from rayseg.space import uniform
        >>> asker = OptunaAsker({"a": uniform(0, 1)}, ["max"], seed=0)  # doctest: +SKIP
        >>> number, point = asker.ask()  # doctest: +SKIP
        >>> asker.tell(number, [point["a"]])  # doctest: +SKIP
    """

    def __init__(
        self,
        space: Space,
        modes: Sequence[str],
        seed: int,
        method: Method = "optuna",
        known: Sequence[KnownTrial] = (),
    ) -> None:
        import optuna  # noqa: PLC0415  an optional package

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directions = ["maximize" if mode == "max" else "minimize" for mode in modes]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a sampler is experimental
            sampler = optuna.samplers.TPESampler(seed=seed) if method == "optuna" else optuna.samplers.GPSampler(seed=seed)
        self._space = space
        self._again = _AGAIN[method]
        self._tried: set[str] = set()
        self._study = optuna.create_study(sampler=sampler, directions=directions)
        self._rng = np.random.default_rng([seed, 1])
        self._open: dict[int, Any] = {}
        for drawn, scores in known:
            self.learn(drawn, scores)

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """The next trial; None where every point of the space was tried."""
        again = 0
        for _ in range(_TRIES):
            number, point = self._proposed()
            known, broken = point_name(point) in self._tried, broken_rules(self._space, point)
            if not known and not broken:
                self._tried.add(point_name(point))
                return number, point
            self.tell(number, None)
            again += known
            if again == self._again:
                break
        found = drawn_anew(self._space, self._rng, self._tried)
        if found is None:
            return None
        point, drawn = found
        self._tried.add(point_name(point))
        self._study.enqueue_trial({name: _told(dimension, value) for name, (dimension, value) in drawn.items()})
        return self._proposed()

    def _proposed(self) -> tuple[int, dict[str, Any]]:
        trial = self._study.ask()
        self._open[trial.number] = trial
        return trial.number, draw_point(self._space, lambda name, dimension: _suggested(trial, name, dimension))

    def tell(self, number: int, scores: Sequence[float] | None, *, step: int | None = None) -> None:
        """What became of a trial; see :class:`Asker`."""
        trial, ended = self._open.pop(number), _ended(scores, step)
        if ended == "pruned" and scores is not None and step is not None:
            trial.report(scores[0], step)
        self._study.tell(trial, list(scores) if ended == "complete" and scores is not None else None, state=_state(ended))

    def learn(self, drawn: Mapping[str, Any], scores: Sequence[float] | None, *, step: int | None = None) -> None:
        """Take a trial that somebody else ran: what is known of it, and that it need not be tried.

        Args:
            drawn: name -> value, what was drawn for it.
            scores: one per objective; None: it failed.
            step: at which it was ended early; None: it came to its end.

        Raises:
            ConfigError: there is a dimension that Optuna does not know.
        """
        import optuna  # noqa: PLC0415

        dimensions: dict[str, Dimension] = {}

        def draw(name: str, dimension: Dimension) -> Any:
            dimensions[name] = dimension
            return drawn[name]

        self._tried.add(point_name(draw_point(self._space, draw)))
        parameters = {name: _told(dimension, drawn[name]) for name, dimension in dimensions.items()}
        distributions = {name: _distribution(name, dimension) for name, dimension in dimensions.items()}
        ended = _ended(scores, step)
        told: dict[str, Any] = {"values": list(scores)} if ended == "complete" and scores is not None else {}
        early = {"intermediate_values": {step: scores[0]}} if ended == "pruned" and scores is not None else {}
        made = {"params": parameters, "distributions": distributions, "state": _state(ended), **told, **early}
        self._study.add_trial(optuna.trial.create_trial(**made))


def _ended(scores: Sequence[float] | None, step: int | None) -> Literal["fail", "pruned", "complete"]:
    """How a trial ended, in Optuna's words."""
    several_early = step is not None and scores is not None and len(scores) > 1
    if scores is None or several_early or not all(math.isfinite(score) for score in scores):
        return "fail"
    return "complete" if step is None else "pruned"


def _state(ended: str) -> Any:
    from optuna.trial import TrialState  # noqa: PLC0415

    return TrialState[ended.upper()]


def _suggested(trial: Any, name: str, dimension: Dimension) -> Any:
    """A value of a dimension in the trial, as Optuna proposes."""
    if isinstance(dimension, Choice):
        return dimension.values[trial.suggest_categorical(name, range(len(dimension.values)))]
    if isinstance(dimension, IntUniform):
        return trial.suggest_int(name, dimension.low, dimension.high)
    if isinstance(dimension, Uniform | LogUniform):
        return trial.suggest_float(name, dimension.low, dimension.high, log=isinstance(dimension, LogUniform))
    raise _unknown(name, dimension)


def _distribution(name: str, dimension: Dimension) -> Any:
    from optuna import distributions  # noqa: PLC0415

    if isinstance(dimension, Choice):
        return distributions.CategoricalDistribution(range(len(dimension.values)))
    if isinstance(dimension, IntUniform):
        return distributions.IntDistribution(dimension.low, dimension.high)
    if isinstance(dimension, Uniform | LogUniform):
        return distributions.FloatDistribution(dimension.low, dimension.high, log=isinstance(dimension, LogUniform))
    raise _unknown(name, dimension)


def _told(dimension: Dimension, value: Any) -> Any:
    """A value as Optuna knows it."""
    return dimension.number(value) if isinstance(dimension, Choice) else value


def _unknown(name: str, dimension: Dimension) -> ConfigError:
    told = f"{dimension} is not a dimension that Optuna knows; use choice, uniform, log_uniform, int_uniform, or random search"
    return ConfigError([Problem(name, told)], where="search space")
