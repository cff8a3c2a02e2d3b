"""What the scores of a sweep's trials follow: read from their evaluations at the last step that all of them came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rayseg.engine.history import History
from rayseg.errors import RaysegError
from rayseg.report import Effect, effects, render_table

__all__ = ["TrialEffects", "population_effects", "trial_effects"]

#: Pairs that are printed.
_MAX_PAIRS = 5


@dataclass(frozen=True)
class TrialEffects:
    """What the scores of the trials follow.

    Args:
        keys: effect of each searched key alone.
        pairs: what two keys explain together besides.
        metric: the score.
        step: of the evaluations; that of the first cut where trials were ended early.
        trials: how many were compared; not the baseline, which nobody drew.
        bred: whether they are the members of a population, before any of them was replaced.
    """

    keys: tuple[Effect, ...]
    pairs: tuple[Effect, ...]
    metric: str
    step: int
    trials: int
    bred: bool = False

    def __str__(self) -> str:
        """A table of keys and one of the largest pairs."""
        who = "members, none of which had been replaced yet" if self.bred else "trials"
        head = f"what {self.metric} at step {self.step} follows, in {self.trials} {who} (p-values hold for all rows of a table)"
        keys = [
            {"key": each.keys[0], "explains": each.explains, "p": each.p_value, "better with": each.best} for each in self.keys
        ]
        pairs = [
            {"pair": " x ".join(each.keys), "explains of the rest": each.explains, "p": each.p_value}
            for each in self.pairs[:_MAX_PAIRS]
        ]
        return "\n\n".join([head, *(render_table(rows) for rows in (keys, pairs) if rows)])


def trial_effects(
    table: Sequence[Mapping[str, Any]], searched: Sequence[str], metric: str, mode: Literal["max", "min"]
) -> TrialEffects:
    """Effects of the searched keys on the scores of a sweep's table.

    Args:
        table: rows of the sweep.
        searched: keys of the space.
        metric: the score.
        mode: whether more or less of it is better.

    Raises:
        RaysegError: too few trials have a score at one step.
    """
    rows = [row for row in table if row["rank"] is not None and row["trial"] != "baseline"]
    scores = [_scores(row, metric) for row in rows]
    steps = set.intersection(*(set(own) for own in scores)) if scores else set()
    if rows and not steps:
        raise RaysegError(f"the trials have no evaluation of {metric} at one step in common")
    sign, step = 1.0 if mode == "max" else -1.0, max(steps, default=0)
    points = [{key: row[key] for key in searched} for row in rows]
    keys, pairs = effects(points, [sign * own[step] for own in scores])
    return TrialEffects(tuple(keys), tuple(pairs), metric, step, len(rows))


def population_effects(
    segments: Sequence[Mapping[str, Any]], searched: Sequence[str], metric: str, mode: Literal["max", "min"]
) -> TrialEffects:
    """Effects of the searched keys on what the members of a population reached until they were compared first.

    Until then they are a random search: all begin with the same weights, and each has one recipe, which was drawn. Afterwards
    scores follow weights that were taken over, and recipes are near those that had won; so nothing is told of later intervals.

    Args:
        segments: of the population, as ``population.json`` has them.
        searched: keys of the space.
        metric: the score.
        mode: whether more or less of it is better.

    Raises:
        RaysegError: too few members came to the first comparison.
    """
    rows = [each for each in segments if each["interval"] == 0 and each["score"] is not None]
    sign = 1.0 if mode == "max" else -1.0
    keys, pairs = effects(
        [{key: row["recipe"][key] for key in searched} for row in rows], [sign * row["score"] for row in rows]
    )
    return TrialEffects(tuple(keys), tuple(pairs), metric, int(rows[0]["until"]), len(rows), bred=True)


def _scores(row: Mapping[str, Any], metric: str) -> dict[int, float]:
    history = History(Path(row["directory"]) / "metrics.jsonl").rows()
    return {step: scores[metric] for step, scores in history if metric in scores}
