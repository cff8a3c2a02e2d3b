"""What a confirmation found: candidates beside the baseline, over paired seeds, classes, images, and the test split.

Letters: S seeds, N images, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rayseg.report.image_bootstrap import ImageInterval, bootstrap_images
from rayseg.report.paired import Difference, PairRules, Verdict, judge, paired_difference, pairs_wanted, verdicts_of_many

__all__ = ["Candidate", "Mode", "RecipeRuns", "compare", "seeds_wanted", "standing"]

#: Whether more or less of a score is better.
Mode = Literal["max", "min"]


@dataclass(frozen=True)
class RecipeRuns:
    """Full runs of one recipe, one per seed, in the order of seeds.

    Args:
        scores: of each run: ``val/mIoU``, ``val/IoU/<class>``, ``test/mIoU`` and so on.
        counts: split -> ``(S, N, 3, C)`` pixels that were found, labelled, predicted; empty where no image was counted.
        fault: why a run of it failed, or None.
    """

    scores: Sequence[Mapping[str, float]]
    counts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    fault: str | None = None


@dataclass(frozen=True)
class Candidate:
    """A recipe beside the baseline. Differences are candidate minus baseline, scores are fractions 0-1.

    Args:
        name: of the trial in the search.
        changed: dotted config key -> value, on top of the base.
        verdict: over seeds, on the validation split; ``failed`` where a run of it failed.
        difference: with the interval that holds for all candidates together; None where it failed.
        asked: pairs that the spread asks for.
        baseline: mean score of the baseline over the same seeds.
        score: mean score of the recipe.
        classes: difference of each class with its own interval.
        class_verdicts: of all classes together (Benjamini and Hochberg).
        test: the difference on the test split, with an interval of the same look; None without one.
        images: split -> ``mIoU`` and ``IoU/<class>`` -> interval over images drawn again, with the models as they are.
        fault: why it failed, or None.
    """

    name: str
    changed: Mapping[str, Any]
    verdict: Verdict | Literal["failed"]
    difference: Difference | None = None
    asked: int = 0
    baseline: float = float("nan")
    score: float = float("nan")
    classes: Mapping[str, Difference] = field(default_factory=dict)
    class_verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    test: Difference | None = None
    images: Mapping[str, Mapping[str, ImageInterval]] = field(default_factory=dict)
    fault: str | None = None


def seeds_wanted(baseline: RecipeRuns, own: RecipeRuns, metric: str, rules: PairRules) -> int:
    """How many seeds a candidate needs, told from the first ``rules.seeds``; none where it failed.

    Example:
        >>> runs = [RecipeRuns([{"val/mIoU": value} for value in row]) for row in ((0.40, 0.41, 0.39), (0.50, 0.52, 0.49))]
        >>> seeds_wanted(*runs, "val/mIoU", PairRules(seeds=3, max_seeds=6, smallest=0.1))
        3
    """
    return 0 if own.fault else pairs_wanted(_differences(baseline, own, metric), rules)


def compare(
    name: str,
    changed: Mapping[str, Any],
    baseline: RecipeRuns,
    own: RecipeRuns,
    *,
    metric: str,
    mode: Mode,
    rules: PairRules,
    class_names: Sequence[str] = (),
) -> Candidate:
    """The verdict on a candidate.

    Args:
        name: of the trial in the search.
        changed: dotted config key -> value, on top of the base.
        baseline: its runs; the same seeds, or more.
        own: runs of the candidate, as many as :func:`seeds_wanted`, or more, which are not looked at.
        metric: that is compared, ``val/...``.
        mode: whether more or less of it is better.
        rules: see there.
        class_names: of the counts.

    Example:
        >>> before = RecipeRuns([{"val/mIoU": value} for value in (0.40, 0.41, 0.39)])
        >>> after = RecipeRuns([{"val/mIoU": value} for value in (0.50, 0.52, 0.49)])
        >>> rules = PairRules(seeds=3, max_seeds=3, smallest=0.1)
        >>> compare("a", {"optim.lr": 0.02}, before, after, metric="val/mIoU", mode="max", rules=rules).verdict
        'better'
    """
    if own.fault:
        return Candidate(name, changed, "failed", fault=own.fault)
    judged = judge(_differences(baseline, own, metric), rules, mode)
    pairs = judged.difference.pairs
    before, after = _first(baseline, pairs), _first(own, pairs)
    classes = _class_differences(before, after, _class_prefix(metric))
    test_metric = metric.replace("val/", "test/", 1)
    tested = all(test_metric in row for row in [*before.scores, *after.scores])
    test_values = _differences(before, after, test_metric) if tested else []
    return Candidate(
        name,
        changed,
        judged.verdict,
        judged.difference,
        judged.asked,
        _mean(before, metric),
        _mean(after, metric),
        classes,
        verdicts_of_many(classes),
        paired_difference(test_values, error=judged.error, first=rules.seeds) if tested else None,
        {split: bootstrap_images(before.counts[split], after.counts[split], class_names) for split in after.counts},
    )


def standing(candidates: Sequence[Candidate], mode: Mode = "max") -> str:
    """The recipe to go on with: of those that are better, the one with the largest difference; else ``baseline``.

    Example:
        >>> standing([Candidate("a", {}, "not distinguishable")])
        'baseline'
    """
    sign = 1.0 if mode == "max" else -1.0
    better = {each.name: sign * each.difference.mean for each in candidates if each.verdict == "better" and each.difference}
    return max(better, key=lambda name: better[name], default="baseline")


def _first(runs: RecipeRuns, pairs: int) -> RecipeRuns:
    return RecipeRuns(runs.scores[:pairs], {split: counts[:pairs] for split, counts in runs.counts.items()})


def _differences(baseline: RecipeRuns, own: RecipeRuns, metric: str) -> list[float]:
    return [after[metric] - before[metric] for before, after in zip(baseline.scores, own.scores, strict=False)]


def _mean(runs: RecipeRuns, metric: str) -> float:
    return sum(row[metric] for row in runs.scores) / len(runs.scores)


def _class_prefix(metric: str) -> str:
    """``val/Dice/`` where ``val/mDice`` is compared; classes have no loss, so that is IoU then."""
    kind = metric.rsplit("/", 1)[-1]
    return f"val/{kind[1:]}/" if kind.startswith("m") else "val/IoU/"


def _class_differences(before: RecipeRuns, after: RecipeRuns, prefix: str) -> dict[str, Difference]:
    """Of the classes that every run has a score for."""
    rows = [*before.scores, *after.scores]
    keys = [key for key in rows[0] if key.startswith(prefix) and all(key in row for row in rows)]
    return {key.removeprefix(prefix): paired_difference(_differences(before, after, key)) for key in keys}
