"""Which of the searched keys the scores of the trials follow, alone and in pairs.

Scores are replaced by their ranks, and so are numbers that were searched; a choice is one column per value. What a key explains
is the share of the ranks' variance that a linear fit to its columns takes (for a number the square of Spearman's correlation);
what a pair explains besides is the share of the rest that products of the columns take. Both are compared with scores that were
shuffled, the pair's after taking away what the two explain alone (Freedman and Lane 1983). P-values hold for all keys together,
and for all pairs together, by the smallest of each shuffle (Westfall and Young 1993).

Few trials show large effects only. From ``BENDS`` trials on a number has the square of its rank as a second column, so that one
that is best in the middle of its range is seen; with fewer, the column would cost more than it shows.

Letters: T trials, K keys, P shuffles.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayseg.errors import RaysegError

__all__ = ["BENDS", "MIN_TRIALS", "Effect", "effects"]

#: Below this, hardly any effect is told from chance.
MIN_TRIALS = 8
#: From here on a number may be best in the middle.
BENDS = 20
#: Shares of variance below this are rounding.
_TINY = 1e-9

Columns = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """What one key, or two together, has to do with the scores.

    Args:
        keys: one, or two for what they explain besides each alone.
        explains: share of the variance of the ranks of the scores, 0-1; of what the two leave over, for a pair.
        p_value: how often shuffled scores show so much, for all keys (or all pairs) together.
        best: for a number ``more`` or ``less``, or ``the middle`` or ``the ends`` of what was tried where that explains more;
            for a choice the value with the best mean rank; empty for a pair.
    """

    keys: tuple[str, ...]
    explains: float
    p_value: float
    best: str = ""


def effects(
    points: Sequence[Mapping[str, Any]], scores: Sequence[float], *, shuffles: int = 999, seed: int = 0
) -> tuple[list[Effect], list[Effect]]:
    """Effects of keys and of pairs of keys, largest first.

    A key with one value only, or as a choice with more than half as many values as there are trials, is left out; so is a pair
    that leaves fewer than three trials over.

    Args:
        points: T trials, searched key -> value; drawn at random, or p-values mean nothing.
        scores: of the trials, at equal steps; more is better.
        shuffles: P.
        seed: of the shuffles.

    Raises:
        RaysegError: there are fewer than ``MIN_TRIALS`` trials.

    Example:
        >>> points = [{"lr": 10.0**-number, "dice": number % 2} for number in range(12)]
        >>> keys, pairs = effects(points, [0.5 + 0.01 * number for number in range(12)])
        >>> keys[0].keys, round(keys[0].explains, 3), keys[0].best, keys[0].p_value < 0.01
        (('lr',), 1.0, 'less', True)
    """
    if len(points) < MIN_TRIALS:
        raise RaysegError(
            f"{len(points)} trials are too few to tell what their scores follow; search with {MIN_TRIALS} or more"
        )
    values = {key: [point[key] for point in points] for key in points[0]}
    columns = {key: found for key, own in values.items() if (found := _columns(own)) is not None}
    lines = {key: own[:, :1] if _is_bent(values[key], own) else own for key, own in columns.items()}
    ranks = _centred(_ranks(scores))
    rng = np.random.default_rng(seed)
    shuffled = np.stack([ranks, *(rng.permutation(ranks) for _ in range(shuffles))])
    alone: dict[tuple[str, ...], NDArray[np.float64]] = {
        (key,): _explained(shuffled, _basis(own)) for key, own in columns.items()
    }
    pairs: dict[tuple[str, ...], NDArray[np.float64]] = {
        (one, other): found
        for one, other in itertools.combinations(columns, 2)
        if (found := _besides([columns[one], columns[other]], [lines[one], lines[other]], ranks, rng, shuffles)) is not None
    }
    best: dict[tuple[str, ...], str] = {(key,): _best(values[key], own, ranks) for key, own in columns.items()}
    return _together(alone, best), _together(pairs, {})


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """From 1, equal values at the mean of their places."""
    _, places, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    found: NDArray[np.float64] = (counts.cumsum() - (counts - 1) / 2)[places]
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _columns(values: Sequence[Any]) -> Columns | None:
    """``(T, columns)``, centred; None for a key that cannot be judged."""
    names = [json.dumps(value, sort_keys=True, default=str) for value in values]
    levels = list(dict.fromkeys(names))
    if len(levels) < 2:
        return None
    if all(map(_is_number, values)):
        line = _centred(_ranks(values)[:, None])
        return line if len(values) < BENDS or len(levels) < 3 else np.hstack([line, _beyond(line**2, line)])
    if len(levels) > len(values) / 2:
        return None
    return _centred(np.array([[float(name == level) for level in levels] for name in names]))


def _centred(values: NDArray[Any]) -> Columns:
    found: Columns = values - values.mean(axis=0)
    return found


def _is_bent(values: Sequence[Any], columns: Columns) -> bool:
    return columns.shape[1] == 2 and all(map(_is_number, values))


def _beyond(columns: Columns, others: Columns) -> Columns:
    """What of centred columns lies outside the span of others."""
    basis, own = _basis(others), _centred(columns)
    return own - basis @ (basis.T @ own)


def _basis(columns: Columns) -> Columns:
    """Orthonormal columns of the same span."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, sizes > _TINY * max(1.0, float(sizes[0]))]


def _explained(rows: NDArray[np.float64], basis: Columns) -> NDArray[np.float64]:
    """``(P + 1,)`` share of each row's sum of squares that lies in the span; the first is that of the scores as they are."""
    whole = (rows**2).sum(axis=1)
    found: NDArray[np.float64] = np.divide(
        ((rows @ basis) ** 2).sum(axis=1), whole, out=np.zeros_like(whole), where=whole > _TINY
    )
    return found


def _besides(
    alone: Sequence[Columns], lines: Sequence[Columns], ranks: NDArray[np.float64], rng: np.random.Generator, shuffles: int
) -> NDArray[np.float64] | None:
    """``(P + 1,)`` share of what two keys leave over that the products of their lines take; None where too little is left."""
    both = _basis(np.hstack(alone))
    rest = _beyond(np.stack([a * b for a in lines[0].T for b in lines[1].T], axis=1), both)
    basis = _basis(rest) if np.abs(rest).max() > _TINY else rest[:, :0]
    if basis.shape[1] == 0 or len(ranks) - 1 - both.shape[1] - basis.shape[1] < 3:
        return None
    left = ranks - both @ (both.T @ ranks)
    rows = np.stack([left, *(rng.permutation(left) for _ in range(shuffles))])
    return _explained(rows - (rows @ both) @ both.T, basis)


def _best(values: Sequence[Any], columns: Columns, ranks: NDArray[np.float64]) -> str:
    if all(map(_is_number, values)):
        shares = [float(_explained(ranks[None], _basis(own[:, None]))[0]) for own in columns.T]
        line, bend = (float(own @ ranks) for own in (columns[:, 0], columns[:, -1]))
        if shares[-1] > shares[0]:
            return "the ends" if bend > 0 else "the middle"
        return "more" if line > 0 else "less"
    names = [json.dumps(value, sort_keys=True, default=str) for value in values]
    means = {name: np.mean([rank for rank, own in zip(ranks, names, strict=True) if own == name]) for name in names}
    return max(means, key=lambda name: float(means[name]))


def _together(found: Mapping[tuple[str, ...], NDArray[np.float64]], best: Mapping[tuple[str, ...], str]) -> list[Effect]:
    """Effects with p-values that hold for all of them, largest first."""
    if not found:
        return []
    shares = np.stack(list(found.values()))
    reached = (shares[:, None, :] >= shares[:, :, None] - _TINY).mean(axis=2)  # p of each shuffle among all, by key
    smallest = reached.min(axis=0)
    told = [
        Effect(keys, float(own[0]), float((smallest <= reached[at, 0] + _TINY).mean()), best.get(keys, ""))
        for at, (keys, own) in enumerate(found.items())
    ]
    return sorted(told, key=lambda each: (each.p_value, -each.explains))
