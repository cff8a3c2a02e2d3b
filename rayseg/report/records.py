"""What a sweep left behind, as its report needs it: plain values, no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rayseg.report.confirmation import Candidate, Mode
from rayseg.report.effects import Effect
from rayseg.report.paired import PairRules
from rayseg.report.use import ClusterUse

__all__ = ["ShownImage", "SweepRecords", "TrialRecord"]


@dataclass(frozen=True)
class TrialRecord:
    """A trial.

    Args:
        row: of the ranked table: ``rank``, ``trial``, ``step``, ``status``, ``fault``, sampled values, last scores.
        history: ``(step, metrics)`` of every evaluation.
    """

    row: Mapping[str, Any]
    history: Sequence[tuple[int, Mapping[str, float]]] = ()

    @property
    def name(self) -> str:
        """Of the trial."""
        return str(self.row["trial"])

    @property
    def ranked(self) -> bool:
        """Whether it has a score that counts."""
        return self.row.get("rank") is not None

    def score(self, metric: str) -> float:
        """Of its last evaluation.

        Args:
            metric: its name.
        """
        return float(self.row[metric])


@dataclass(frozen=True)
class ShownImage:
    """A validation image, PNG files of one size.

    Args:
        image: as the network sees it.
        labels: in the colours of the classes.
        recipes: trial -> its prediction, and the image with wrong pixels in red.
    """

    image: bytes
    labels: bytes
    recipes: Mapping[str, tuple[bytes, bytes]]


@dataclass(frozen=True)
class SweepRecords:
    """Everything that a report tells.

    Args:
        name: of the sweep.
        metric: trials were ranked by it.
        mode: whether more or less of it is better.
        space: searched key -> its dimension in words.
        trials: in the order of their ranks, those without one last.
        baseline: name of trial 0.
        searcher: that chose the values.
        others: further objectives; a row's ``front`` says whether no other trial beats it in all.
        total_steps: of a full trial.
        seconds: the search took.
        use: of the cluster; None where nobody wrote it down.
        candidates: of the confirmation; none where there was none.
        rules: of the confirmation's pairs.
        key_effects: what the scores follow, by key.
        pair_effects: the same for pairs of keys, besides each alone.
        effects_step: of the evaluations that were compared for them.
        effects_fault: why nothing is told of effects, or None.
        images: validation images under the best recipes.
        images_fault: why there are none, where that is a fault.
        origin: entries of ``provenance.json``.
        best_config: ``best.yaml``.
        schedule: of a population's winner: steps, run, score and recipe of each part that made its weights.
        links: name -> address of other pages about it.
    """

    name: str
    metric: str
    mode: Mode
    space: Mapping[str, str]
    trials: Sequence[TrialRecord]
    baseline: str = "baseline"
    searcher: str = "random"
    others: Sequence[str] = ()
    total_steps: int = 0
    seconds: float = 0.0
    use: ClusterUse | None = None
    candidates: Sequence[Candidate] = ()
    rules: PairRules = field(default_factory=PairRules)
    key_effects: Sequence[Effect] = ()
    pair_effects: Sequence[Effect] = ()
    effects_step: int = 0
    effects_fault: str | None = None
    images: Sequence[ShownImage] = ()
    images_fault: str | None = None
    origin: Sequence[Mapping[str, Any]] = ()
    best_config: str = ""
    schedule: Sequence[Mapping[str, Any]] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def ranked(self) -> list[TrialRecord]:
        """Trials with a score."""
        return [trial for trial in self.trials if trial.ranked]

    @property
    def baseline_trial(self) -> TrialRecord | None:
        """Trial 0, if it has a score."""
        return next((trial for trial in self.ranked if trial.name == self.baseline), None)

    def baseline_at(self, step: int) -> Mapping[str, Any]:
        """Scores of the baseline at the step of another trial; empty where it was not evaluated there.

        Args:
            step: of an evaluation.
        """
        trial = self.baseline_trial
        if trial is None:
            return {}
        return trial.row if trial.row["step"] == step else dict(trial.history).get(step, {})
