"""What was asked of a sweep, and every reason why it cannot be done, before Ray is started."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from rayseg.build import Components, check, open_choices, plan_of
from rayseg.build.corners import CornerCheck
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError, Problem
from rayseg.launch.breeding_request import breeding_problems, is_population, length_problems
from rayseg.launch.budget import Budget
from rayseg.launch.objectives import DERIVED, Objective
from rayseg.space import Rule, Space, conditional_axes, corners, grid_points, keys_of, space_problems

__all__ = ["LEARNING", "Scheduler", "Searcher", "SweepRequest", "preflight"]

Searcher = Literal["random", "grid", "optuna", "gp"]
Scheduler = Literal["asha", "median", "pbt", "pb2"]

#: Searchers that choose by the scores of earlier trials.
LEARNING = ("optuna", "gp")

#: Keys that decide how long a trial is: ASHA compares trials at the same step of equally long runs.
_LENGTHS = ("train.steps", "train.epochs", "eval.every", "eval.at_end", "data.dataset", "data.train_split")
#: Keys that belong to the sweep as a whole.
_OURS = ("tracking", "scaling", "checkpoint")


@dataclass(frozen=True)
class SweepRequest:
    """What the caller of ``sweep`` asked for; see there.

    ``parts`` are numbers of trials: where a search was given more of them than at first, those of each call that gave more.
    """

    base: ExperimentConfig
    space: Space
    metric: str
    mode: Literal["max", "min"]
    num_samples: int
    searcher: Searcher
    scheduler: Scheduler | None
    baseline: Mapping[str, Any]
    max_concurrent: int | None
    grace_steps: int | None
    components: Components
    perturb_every: int | None = None
    quantile: float | None = None
    resample: float | None = None
    others: tuple[Objective, ...] = ()
    budget: Budget = field(default_factory=Budget)
    warm_start: tuple[str, ...] = ()
    parts: tuple[int, ...] = ()

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """All that it is judged by; the first ranks."""
        return ((self.metric, self.mode), *self.others)

    @property
    def name(self) -> str:
        """Of the sweep."""
        assert self.base.tracking.name is not None
        return self.base.tracking.name


def preflight(request: SweepRequest, more: Sequence[Problem] = ()) -> None:
    """Validate the base, every corner of the space and the baseline in the driver.

    Args:
        request: of the sweep.
        more: what is wrong with the rest of the call.

    Raises:
        ConfigError: every problem; those of a corner say at which value.
    """
    problems = [*check(request.base, request.components), *_request_problems(request), *more]
    if not problems:
        lengths = plan_of(request.base, request.components)
        problems += (
            length_problems(request, lengths) if is_population(request) else _grace_problems(request, lengths.total_steps)
        )
    if not problems:
        checked = CornerCheck(request.base, request.components)
        problems += [each for metric, mode in request.others for each in _unknown_objective(request, metric, mode)]
        for point in [*corners(request.space), dict(request.baseline)]:
            problems += [each for each in _problems_at(request, point, checked) if each not in problems]
    if problems:
        raise ConfigError(problems, where="sweep")


def _request_problems(request: SweepRequest) -> list[Problem]:
    problems = [*_word_problems(request), *_space_problems(request), *_baseline_problems(request)]
    if not _is_count(request.num_samples):
        problems.append(Problem("num_samples", f"got {request.num_samples!r}; give a whole number, at least 1"))
        return problems
    if request.max_concurrent is not None and not _is_count(request.max_concurrent):
        text = f"got {request.max_concurrent!r}; give a whole number, at least 1, or None"
        problems.append(Problem("max_concurrent", text))
    if request.searcher in LEARNING and importlib.util.find_spec("optuna") is None:
        text = f"{request.searcher!r} needs optuna, which is not installed; pip install 'rayseg[optuna]', or use random or grid"
        problems.append(Problem("searcher", text))
    every, saves = request.base.eval.every, request.base.checkpoint.every
    if saves is not None and saves != every:
        problems.append(Problem("checkpoint.every", "in a sweep checkpoints are taken at evaluations; set it to null"))
    if request.base.checkpoint.optimizer == "none" and request.base.scaling.max_failures > 0:
        text = "none, but a trial whose process died goes on from its checkpoint; set scaling.max_failures to 0, or say newest"
        problems.append(Problem("checkpoint.optimizer", text))
    if request.warm_start and request.searcher not in LEARNING:
        text = f"{request.searcher!r} does not learn from scores; use optuna or gp, or leave warm_start out"
        problems.append(Problem("warm_start", text))
    return [*problems, *breeding_problems(request), *_objective_problems(request), *_budget_problems(request)]


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1


def _word_problems(request: SweepRequest) -> list[Problem]:
    """Searchers and schedulers that there are not: whoever calls from Python may write any."""
    known: dict[str, tuple[Any, ...]] = {"searcher": get_args(Searcher), "scheduler": (*get_args(Scheduler), None)}
    return [
        Problem(name, f"got {getattr(request, name)!r}; expected one of {', '.join(map(str, words))}")
        for name, words in known.items()
        if getattr(request, name) not in words
    ]


def _baseline_problems(request: SweepRequest) -> list[Problem]:
    """What the baseline may not have otherwise than the trials that are compared with it."""
    return [Problem(key, message) for key in request.baseline if (message := _why_not(key, "changed in the baseline"))]


def _grace_problems(request: SweepRequest, total_steps: int) -> list[Problem]:
    """Numbers for a scheduler that ends trials early, or for none."""
    steps = request.grace_steps
    if steps is None:
        return []
    if request.scheduler is None:
        text = "has no meaning without a scheduler, as no trial is ended early; leave it out, or set scheduler to 'asha'"
        return [Problem("grace_steps", text)]
    if isinstance(steps, int) and 1 <= steps < total_steps:
        return []
    text = f"got {steps!r}; a run has {total_steps} steps, so no trial would be ended as asked: give 1 to {total_steps - 1}"
    return [Problem("grace_steps", text)]


def _unknown_objective(request: SweepRequest, metric: str, mode: str) -> list[Problem]:
    """Of a further objective, as of the first."""
    if metric in DERIVED:
        return []
    found = check(request.base.with_({"checkpoint.best": metric, "checkpoint.mode": mode}), request.components)
    names = {"checkpoint.best": "metric", "checkpoint.mode": "mode"}
    return [Problem(names.get(each.path, each.path), each.message) for each in found]


def _objective_problems(request: SweepRequest) -> list[Problem]:
    """What cannot be asked of several objectives, and names of others that no trial has."""
    if not request.others:
        return []
    problems = []
    if request.scheduler is not None:
        text = f"{request.scheduler!r} judges trials by one score; with several objectives set scheduler to None"
        problems.append(Problem("scheduler", text))
    if request.searcher == "gp":
        problems.append(Problem("searcher", "gp models one score; with several objectives use optuna, random or grid"))
    if request.metric in DERIVED:
        text = f"{request.metric} cannot rank the trials: it is not measured at every evaluation; name a metric first"
        problems.append(Problem("metric", text))
    return problems


def _budget_problems(request: SweepRequest) -> list[Problem]:
    budget = request.budget
    if budget == Budget():
        return []
    problems = []
    hours = budget.device_hours
    if hours is not None and (isinstance(hours, bool) or not isinstance(hours, int | float) or not hours > 0):
        problems.append(Problem("gpu_hours", f"got {hours!r}; give more than 0, a number"))
    name = "gpu_hours" if budget.seconds is None else "time_budget"
    if is_population(request):
        text = f"has no meaning with {request.scheduler!r}: members wait for each other; it costs num_samples runs"
        problems.append(Problem(name, text))
    if threading.current_thread() is not threading.main_thread():
        problems.append(Problem(name, "a search with a budget is stopped by a signal; call it in the main thread"))
    return problems


def _space_problems(request: SweepRequest) -> list[Problem]:
    """What is wrong with the space, and what its searcher cannot do."""
    space = request.space
    problems = space_problems(space)
    if problems:
        return [*problems, *(Problem(key, why) for key in space if not isinstance(space[key], Rule) and (why := _why_not(key)))]
    problems = [Problem(key, message) for key in keys_of(space) if (message := _why_not(key))]
    if request.searcher == "grid":
        try:
            grid_points(space)
        except ConfigError as error:
            problems += error.problems
    if request.searcher == "gp" and (sometimes := conditional_axes(space)):
        text = (
            f"gp needs every dimension in every trial, but {', '.join(sometimes)} is there in some only; use optuna or random"
        )
        problems.append(Problem("searcher", text))
    return problems


def _why_not(key: str, what: str = "searched") -> str | None:
    if key == "seed":
        return (
            f"cannot be {what}: the best of several seeds is the luckiest; set it in the base, and compare over seeds: confirm"
        )
    if key == "train.speed" or key.startswith("train.speed."):
        return f"cannot be {what}: it is how fast a recipe is computed, and not the recipe; set it in the base"
    if any(key == each or key.startswith(f"{each}.") or each.startswith(f"{key}.") for each in _LENGTHS):
        return f"cannot be {what}: trials are compared at equal steps of equally long runs; choose one value for all"
    if key.split(".", 1)[0] in _OURS:
        return f"cannot be {what}: it belongs to the sweep and not to a recipe; set it in the base"
    return None


def _set_twice(point: Mapping[str, Any]) -> list[Problem]:
    """Keys that another key of the point sets within its value: one of the two would do nothing."""
    found = []
    for key in point:
        for above in (each for each in point if key.startswith(f"{each}.")):
            value = point[above]
            for name in key.removeprefix(f"{above}.").split("."):
                value = value.get(name) if isinstance(value, Mapping) else None
            if value is not None:
                found.append(
                    Problem(key, f"is set by {above} too, where that is {point[above]}; leave it out of one of the two")
                )
    return found


def _problems_at(request: SweepRequest, point: Mapping[str, Any], checked: CornerCheck) -> list[Problem]:
    try:
        candidate = request.base.with_(point)
        found = checked(candidate)
    except ConfigError as error:
        found = list(error.problems)
    else:
        own = [key for key in open_choices(candidate) if key not in open_choices(request.base)]
        found = [*found, *(Problem(key, "auto is measured once for all trials; write it in the base") for key in own)]
    return [*_set_twice(point), *(Problem(each.path, f"{each.message}{_at(point, each.path)}") for each in found)]


def _at(point: Mapping[str, Any], path: str) -> str:
    """The values of the point that lie where the problem lies."""
    near = {key: value for key, value in point.items() if path.startswith(key) or key.startswith(f"{path}.")}
    return f" (at {', '.join(f'{key}={value}' for key, value in near.items())})" if near and path else ""
