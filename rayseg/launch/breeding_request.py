"""What was asked of a population, why it cannot be, and the rules that it comes to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rayseg.engine.plan import Plan
from rayseg.errors import Problem
from rayseg.launch.perturb import why_not_bounded, why_not_perturbed
from rayseg.launch.population import PopulationRules

if TYPE_CHECKING:
    from rayseg.launch.request import SweepRequest

__all__ = ["breeding_problems", "is_population", "length_problems", "population_rules"]

#: Of the population that is replaced at a comparison, and how often a value is drawn anew: the paper's, and Ray's.
_QUANTILE, _RESAMPLE = 0.25, 0.25
#: Comparisons in a run where nothing is said of them.
_INTERVALS = 8


def is_population(request: SweepRequest) -> bool:
    """Whether trials take over weights and recipes of others."""
    return request.scheduler in ("pbt", "pb2")


def population_rules(request: SweepRequest, lengths: Plan) -> PopulationRules:
    """Numbers of a request without problems, with what was left open filled in.

    Args:
        request: for a population.
        lengths: of a run.
    """
    every = request.perturb_every or lengths.eval_every * max(1, round(lengths.total_steps / _INTERVALS / lengths.eval_every))
    assert request.scheduler in ("pbt", "pb2")
    return PopulationRules(
        kind=request.scheduler,
        first=request.grace_steps or every,
        every=every,
        total=lengths.total_steps,
        quantile=_QUANTILE if request.quantile is None else request.quantile,
        resample=_RESAMPLE if request.resample is None else request.resample,
        mode=request.mode,
        seed=request.base.seed,
    )


def breeding_problems(request: SweepRequest) -> list[Problem]:
    """Why a population cannot be bred so; and options of one where there is none."""
    if not is_population(request):
        given = [name for name in ("perturb_every", "quantile", "resample") if getattr(request, name) is not None]
        text = f"has no meaning with scheduler {request.scheduler!r}; set scheduler to 'pbt' or 'pb2', or leave it out"
        return [Problem(name, text) for name in given]
    return [*_space_problems(request), *_number_problems(request), *_base_problems(request)]


def _space_problems(request: SweepRequest) -> Iterator[Problem]:
    plateau = request.base.schedule.type == "plateau"
    for key, dimension in request.space.items():
        told = why_not_perturbed(key, dimension)
        if told is None and request.scheduler == "pb2":
            told = why_not_bounded(dimension)
        if told is None and plateau and key.startswith("schedule."):
            told = "cannot change in a running trial, whose plateau remembers its scores; choose another schedule.type"
        if told is not None:
            yield Problem(key, told)


def _number_problems(request: SweepRequest) -> Iterator[Problem]:
    if request.searcher != "random":
        text = f"got {request.searcher!r}; a population begins with recipes drawn at random: leave it at 'random'"
        yield Problem("searcher", text)
    if request.num_samples < 2:
        yield Problem("num_samples", f"got {request.num_samples}; it is the size of the population: give at least 2")
    if request.quantile is not None and not 0 < request.quantile <= 0.5:
        yield Problem("quantile", f"got {request.quantile}; give a share of the population above 0, at most 0.5")
    if request.resample is not None and not 0 <= request.resample <= 1:
        yield Problem("resample", f"got {request.resample}; give a probability, 0 to 1")
    if request.resample is not None and request.scheduler == "pb2":
        yield Problem("resample", "has no meaning with 'pb2', which asks its model for every recipe; leave it out")


def _base_problems(request: SweepRequest) -> Iterator[Problem]:
    if request.base.checkpoint.optimizer == "none":
        text = "none, but members of a population go on from checkpoints; say newest, or all"
        yield Problem("checkpoint.optimizer", text)
    if not request.base.eval.at_end:
        yield Problem("eval.at_end", "false, but members of a population are compared at the end too; set it to true")


def length_problems(request: SweepRequest, lengths: Plan) -> list[Problem]:
    """Comparisons that do not fall on evaluations, or never happen.

    Args:
        request: for a population.
        lengths: of a run.
    """
    every, total = lengths.eval_every, lengths.total_steps
    problems = []
    for name in ("perturb_every", "grace_steps"):
        steps = getattr(request, name)
        if steps is not None and (steps < 1 or steps % every or steps >= total):
            near = min(max(every, every * round(steps / every)), every * max(1, math.ceil(total / every) - 1))
            text = f"got {steps}; members are compared at evaluations, every {every} of {total} steps"
            problems.append(Problem(name, f"{text}: give a multiple, such as {near}"))
    if total <= every:
        text = f"one evaluation in {total} steps leaves nothing to compare before the end"
        problems.append(Problem("eval.every", f"{text}; set it to {max(1, total // 4)} steps"))
    return problems
