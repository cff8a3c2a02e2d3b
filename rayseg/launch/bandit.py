"""PB2's choice of a recipe: a Gaussian process over time, score and recipe, asked by an upper confidence bound.

Parker-Holder, Nguyen, Roberts 2020, "Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits"
(NeurIPS). Kernel: Bogunovic, Scarlett, Cevher 2016, "Time-Varying Gaussian Process Bandit Optimization" (AISTATS). Choices made
just before count without their results, as in Desautels, Krause, Burdick 2014 (JMLR 15). It is written here, in numpy, since
Ray's needs scikit-learn, knows no logarithmic dimension, and draws from the process's generator: no sweep could be repeated.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Observation", "choose"]

Array = NDArray[np.float64]

#: Among which the kernel's numbers are chosen by the marginal likelihood: length, forgetting per interval, noise variance.
_LENGTHS = (0.1, 0.2, 0.4, 0.8, 1.6)
_FORGETTING = (0.01, 0.1, 0.3)
_NOISES = (0.01, 0.1, 0.5)
_CANDIDATES = 1000
#: Of the confidence bound: PB2's c1 and c2.
_C1, _C2 = 0.2, 0.4


@dataclass(frozen=True)
class Observation:
    """What a member gained in an interval.

    Args:
        interval: its number.
        score: before it, where more is better.
        place: the recipe, numbers 0-1.
        gain: of the score.
    """

    interval: int
    score: float
    place: tuple[float, ...]
    gain: float


@dataclass(frozen=True)
class _Kernel:
    length: float
    forgetting: float
    noise: float

    def __call__(self, a: Array, b: Array) -> Array:
        """Covariance of rows (interval, score, recipe...)."""
        apart = np.abs(a[:, None, 0] - b[None, :, 0])
        square = np.square(a[:, None, 1:] - b[None, :, 1:]).sum(-1)
        return np.asarray((1 - self.forgetting) ** (apart / 2) * np.exp(-square / (2 * self.length**2)), np.float64)

    def factor(self, rows: Array) -> Array:
        """Cholesky factor of the covariance of noisy observations."""
        return np.asarray(np.linalg.cholesky(self(rows, rows) + (self.noise + 1e-8) * np.eye(len(rows))), np.float64)


def choose(
    seen: Sequence[Observation],
    interval: int,
    score: float,
    pending: Sequence[Sequence[float]],
    dimensions: int,
    rng: np.random.Generator,
) -> Array:
    """The recipe of the next interval of a member: numbers 0-1.

    Gains are compared within their interval, where all have trained equally long: early ones are larger whatever the recipe is.

    Args:
        seen: gains so far.
        interval: the next one's number.
        score: with which the member begins it.
        pending: recipes that others have in it.
        dimensions: of a recipe.
        rng: draws the candidates.

    Example:
        >>> seen = [Observation(0, 0.0, (x,), -((x - 0.3) ** 2)) for x in np.linspace(0, 1, 12)]
        >>> bool(abs(choose(seen, 1, 0.0, [], 1, np.random.default_rng(0))[0] - 0.3) < 0.15)
        True
    """
    candidates = rng.random((_CANDIDATES, dimensions))
    if len(seen) < 2:
        return np.asarray(candidates[0])
    low, high = (f(each.score for each in seen) for f in (min, max))
    spread = (high - low) or 1.0

    def row(at: int, scored: float, place: Sequence[float]) -> list[float]:
        return [at, float(np.clip((scored - low) / spread, 0, 1)), *place]

    known = np.array([row(each.interval, each.score, each.place) for each in seen])
    gains = _standardised(seen)
    kernel = max(
        (_Kernel(*each) for each in itertools.product(_LENGTHS, _FORGETTING, _NOISES)), key=lambda k: _fit(k, known, gains)
    )
    asked = np.array([row(interval, score, place) for place in candidates])
    running = np.array([row(interval, score, place) for place in pending]).reshape(-1, known.shape[1])
    kappa = np.sqrt(_C1 + max(0.0, np.log(_C2 * len(seen))))
    bound = _mean(kernel, known, gains, asked) + kappa * _deviation(kernel, np.concatenate([known, running]), asked)
    return np.asarray(candidates[int(np.argmax(bound))])


def _standardised(seen: Sequence[Observation]) -> Array:
    """Gains beside those of the same interval, in their standard deviations, at most two."""
    gains, intervals = np.array([each.gain for each in seen]), np.array([each.interval for each in seen])
    found = np.zeros(len(seen))
    for at in np.unique(intervals):
        own = gains[intervals == at]
        found[intervals == at] = (own - own.mean()) / (own.std() or 1.0)
    return np.clip(found, -2, 2)


def _fit(kernel: _Kernel, rows: Array, gains: Array) -> float:
    """Logarithm of the marginal likelihood, up to a constant."""
    factor = kernel.factor(rows)
    white = np.linalg.solve(factor, gains)
    return float(-0.5 * white @ white - np.log(np.diag(factor)).sum())


def _mean(kernel: _Kernel, rows: Array, gains: Array, asked: Array) -> Array:
    factor = kernel.factor(rows)
    weights = np.linalg.solve(factor.T, np.linalg.solve(factor, gains))
    found: Array = kernel(asked, rows) @ weights
    return found


def _deviation(kernel: _Kernel, rows: Array, asked: Array) -> Array:
    white = np.linalg.solve(kernel.factor(rows), kernel(rows, asked))
    found: Array = np.sqrt(np.maximum(1 - np.square(white).sum(0), 1e-12))
    return found
