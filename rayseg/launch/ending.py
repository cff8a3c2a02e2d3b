"""What ends trials early: never the baseline, and with all in mind that the search has seen.

Tune forgets what its scheduler knew when a search goes on. Every evaluation lies in the trials' directories, so the scheduler
reads them there when it begins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule, TrialScheduler

from rayseg.engine.history import History
from rayseg.engine.plan import Plan
from rayseg.launch.request import Scheduler

__all__ = ["make_scheduler"]

#: A trial of ASHA goes on if it is among the best 1/3 that came as far.
_REDUCTION = 3


@dataclass(frozen=True)
class _Seen:
    """A trial as a scheduler knows it, from what it wrote."""

    trial_id: str


class _Halving(ASHAScheduler):
    """ASHA that lets the baseline run to its end, and knows the trials of a directory.

    Args:
        directory: of the sweep; None: there are none.
        more: of ``ASHAScheduler``.
    """

    def __init__(self, directory: str | None, **more: Any) -> None:
        super().__init__(**more)
        self._seen_in = directory

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """What trials are compared by; then those that have run are compared."""
        ok = bool(super().set_search_properties(metric, mode, **spec))
        for trial, results in _seen(self._seen_in):
            super().on_trial_add(None, trial)
            for result in results:
                super().on_trial_result(None, trial, result)
        return ok

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """A trial begins or goes on."""
        super().on_trial_add(tune_controller, _Seen(_name(trial)))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether a trial goes on."""
        decision = str(super().on_trial_result(tune_controller, _Seen(_name(trial)), result))
        return str(TrialScheduler.CONTINUE) if _is_baseline(trial) else decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A trial has ended."""
        super().on_trial_complete(tune_controller, _Seen(_name(trial)), result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """A trial was ended before it began."""
        super().on_trial_remove(tune_controller, _Seen(_name(trial)))


class _Median(MedianStoppingRule):
    """The median rule that lets the baseline run to its end, and knows the trials of a directory.

    Args:
        directory: of the sweep; None: there are none.
        more: of ``MedianStoppingRule``.
    """

    def __init__(self, directory: str | None, **more: Any) -> None:
        super().__init__(**more)
        self._seen_in = directory

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """What trials are compared by; then those that have run are kept."""
        ok = bool(super().set_search_properties(metric, mode, **spec))
        for trial, results in _seen(self._seen_in):
            known = [result for result in results if self._metric in result]
            self._results.update({trial: known} if known else {})
        return ok

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """A trial begins or goes on."""
        super().on_trial_add(tune_controller, trial)
        known = self._results.pop(_Seen(_name(trial)), None)
        self._results.update({} if known is None else {trial: known})

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether a trial goes on."""
        decision = str(super().on_trial_result(tune_controller, trial, result))
        if not _is_baseline(trial):
            return decision
        self._stopped_trials.discard(trial)
        return str(TrialScheduler.CONTINUE)


def make_scheduler(
    scheduler: Scheduler | None, plan: Plan, grace_steps: int | None, directory: str | None = None
) -> TrialScheduler | None:
    """What ends trials early, by optimizer steps; None: every trial runs to its end, or ends by itself.

    ASHA is Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning". The median rule (Golovin et al. 2017,
    "Google Vizier") ends a trial whose best score is below the median of what others had on average until then; it begins when
    three others came as far. The baseline counts among them and is never ended: all are compared with it.

    Args:
        scheduler: its word.
        plan: lengths of a trial.
        grace_steps: no trial is ended before; None: a fifth of the run, at an evaluation.
        directory: of a sweep whose trials it knows; None: there are none.
    """
    if scheduler not in {"asha", "median"}:
        return None
    first = grace_steps or plan.eval_every * max(1, math.ceil(plan.total_steps / 5 / plan.eval_every))
    if scheduler == "median":  # a slice without end: no trial is paused to wait for others
        rules = {"grace_period": first, "min_samples_required": 3, "min_time_slice": math.inf}
        return _Median(directory, time_attr="step", **rules)
    most = {"max_t": max(plan.total_steps, 2), "grace_period": min(first, plan.total_steps)}
    return _Halving(directory, time_attr="step", reduction_factor=_REDUCTION, **most)


def _is_baseline(trial: Any) -> bool:
    return bool(trial.config["point"].get("baseline"))


def _name(trial: Any) -> str:
    """A trial that goes on has its name and another id."""
    return str(trial.config["point"]["trial"])


def _seen(directory: str | None) -> Iterator[tuple[_Seen, list[dict[str, Any]]]]:
    """Trials of a directory with all their evaluations."""
    own = Path(directory) if directory is not None else Path()
    for path in sorted(own.glob(f"{escape(own.name)}-*/metrics.jsonl")) if directory is not None else []:
        rows = History(path).rows()
        if rows:
            yield _Seen(path.parent.name.removeprefix(f"{own.name}-")), [{"step": step, **scores} for step, scores in rows]
