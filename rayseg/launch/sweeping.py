"""A recipe search: what is asked is checked here, without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from rayseg.build import Components, Decision, read_weight_files, with_weight_files
from rayseg.config import ExperimentConfig, read_config_file
from rayseg.errors import ConfigError, Problem
from rayseg.imports import importing
from rayseg.launch.alone import alone
from rayseg.launch.budget import Budget, read_seconds, read_spent
from rayseg.launch.confirmation import confirm as confirm_sweep
from rayseg.launch.confirmation import confirm_problems, confirm_request, test_split_problems
from rayseg.launch.crowning import register_standing, registration_problems
from rayseg.launch.deciding import decided
from rayseg.launch.interrupt import calm_interrupt
from rayseg.launch.objectives import Objective, read_objectives
from rayseg.launch.reporting import REPORT, write_report
from rayseg.launch.request import Scheduler, Searcher, SweepRequest, preflight
from rayseg.launch.run import named, prepare_directory
from rayseg.launch.same import as_many_as_before, same_search
from rayseg.launch.summary import ENDING, SweepResult, has_ended, read_summary
from rayseg.space import Choice, Part, Space, When, distinct_size, space_problems

__all__ = ["sweep"]

Mode = Literal["max", "min"]


def sweep(  # noqa: PLR0913 - a search has that many sides, each with a default
    base: ExperimentConfig | str | Path,
    space: Space,
    *,
    metric: str | Sequence[str] | None = None,
    mode: Mode | Sequence[Mode] | None = None,
    num_samples: int | None = None,
    time_budget: float | str | None = None,
    gpu_hours: float | None = None,
    warm_start: str | Sequence[str] = (),
    searcher: Searcher = "random",
    scheduler: Scheduler | None = "asha",
    baseline: Mapping[str, Any] | None = None,
    max_concurrent: int | None = None,
    grace_steps: int | None = None,
    perturb_every: int | None = None,
    quantile: float | None = None,
    resample: float | None = None,
    components: Components | None = None,
    confirm: Mapping[str, Any] | None = None,
    register: str | None = None,
) -> SweepResult:
    """Search a space of recipes around a base experiment.

    Trial 0 is the baseline. A sweep whose name exists in its storage goes on where it was, with more trials where more are
    asked for; finished trials are not repeated.
    Trials that fail cost only themselves; they are in the table without a rank.

    Args:
        base: an experiment, or a config file; ``tracking.name`` is the sweep's name.
        space: dotted key -> what is searched there (``rayseg.space``).
        metric: to compare by; None: ``checkpoint.best`` of the base. Of several the first ranks, and the table marks the Pareto
            front; besides metrics of evaluations ``perf/step_s`` and ``val/worst_IoU`` may come after the first.
        mode: whether more or less of it is better, one for each metric; None: ``checkpoint.mode``, or as each is better.
        time_budget: wall time while trials run, over all calls: seconds, or text such as ``"30m"`` or ``"2h"``.
        gpu_hours: of all trials together, over all calls; of workers where they have no GPU. Whichever of the three ends first
            ends the search: trials at work then are ``out of budget`` in the table, and go on when the same call is made with a
            larger budget.
        num_samples: trials besides the baseline; None: 8, or 200 with another budget, or as many as the space has points, or as
            many as the sweep of this name had. A grid has as many as it has points, a population so many members.
        searcher: ``random``, ``grid``, ``optuna`` (a Parzen estimator), or ``gp`` (a Gaussian process; both need the extra
            ``optuna``).
        scheduler: ``asha`` and ``median`` end bad trials early, None runs each to its end. ``pbt`` and ``pb2`` breed a
            population: at comparisons the worst go on with the weights of the best and a recipe near theirs (``pbt``) or one
            that a model of what was gained proposes (``pb2``).
        warm_start: earlier searches whose trials the searcher learns from before its first: names in the storage or the
            MLflow store, run ids, or directories. Trials that cannot be compared are left out, and that is told.
        baseline: overrides of trial 0 on top of the base; None: the base itself.
        max_concurrent: trials at a time; None: as many as the cluster holds.
        grace_steps: no trial is ended, or gives up its weights, before this step; None: a fifth of the run, at an evaluation;
            for a population ``perturb_every``.
        perturb_every: steps between comparisons of a population, at evaluations; None: an eighth of the run.
        quantile: share of a population that is replaced at a comparison; None: a quarter.
        resample: probability with which ``pbt`` draws a value anew instead of moving it; None: a quarter.
        components: name -> callable given by value.
        confirm: train the best recipes and the baseline again over paired seeds, and say what is better; arguments of
            ``rayseg.confirm``, such as ``{"top": 2}``. None: not now.
        register: ``name`` or ``name@alias`` of a model in MLflow's registry: the winner, if a confirmation found it better than
            the baseline; otherwise nothing is registered. None: not now (``rayseg.register``).

    Raises:
        ConfigError: everything that is wrong with the base or with a corner of the space, before any trial starts.

    Example:
        >>> from rayseg.space import log_uniform
        >>> result = sweep(ExperimentConfig(), {"optim.lr": log_uniform(1e-4, 1e-2)}, num_samples=4)  # doctest: +SKIP
        >>> print(result)  # doctest: +SKIP
    """
    config = ExperimentConfig.from_dict(read_config_file(base)) if isinstance(base, (str, Path)) else base
    keep = config.checkpoint
    base_objective: Objective = (keep.best, keep.mode)
    (best, better), *others = read_objectives(metric or keep.best, mode, base_objective)
    budget = Budget(None if time_budget is None else read_seconds(time_budget), gpu_hours)
    request = SweepRequest(
        base=named(with_weight_files(config), "sweep").with_({"checkpoint.best": best, "checkpoint.mode": better}),
        space={key: _with_weight_files(key, part) for key, part in space.items()},
        metric=best,
        mode=better,
        num_samples=num_samples if num_samples is not None else 8 if budget == Budget() or searcher == "grid" else 200,
        others=tuple(others),
        budget=budget,
        warm_start=(warm_start,) if isinstance(warm_start, str) else tuple(warm_start),
        searcher=searcher,
        scheduler=scheduler,
        baseline=read_weight_files(baseline or {}),
        max_concurrent=max_concurrent,
        grace_steps=grace_steps,
        perturb_every=perturb_every,
        quantile=quantile,
        resample=resample,
        components=components or {},
    )
    wanted = None if confirm is None else confirm_request(confirm)
    more = [] if wanted is None else confirm_problems(wanted, request.base)
    more += [] if register is None else registration_problems(register, request.base, confirmed=wanted is not None)
    preflight(request, [*_number_problems(request, num_samples), *more])
    if num_samples is None:
        request = replace(request, num_samples=_as_many_as_there_are(request))
    if wanted is not None and (problems := test_split_problems(request.base, components)):
        raise ConfigError(problems, where="sweep")
    request = replace(request, base=decided(request.base, request.components, _measured_on_cluster))
    directory = prepare_directory(request.base, search=True)
    with calm_interrupt(directory, named=config.tracking.name is not None), alone(directory):
        if num_samples is None:
            request = replace(request, num_samples=as_many_as_before(request, directory))
        request = same_search(request, directory)
        found = read_summary(directory) if has_ended(directory) else None
        if found is None or _is_torn(directory) or (found.out_of_budget and not budget.spent_by(read_spent(directory))):
            found = _searched(request, directory)
        if not (directory / REPORT).is_file():
            write_report(directory)
    if wanted is not None:
        found.confirmation = confirm_sweep(directory, **asdict(wanted), max_concurrent=max_concurrent, components=components)
        if register is not None:
            found.registered = register_standing(directory, found.confirmation.standing, register, components)
    return found


def _is_torn(directory: Path) -> bool:
    """Whether what follows the trials was interrupted: the page, or what the store is told. Nothing is trained for it again."""
    return (directory / ENDING).is_file() and not (directory / "confirm" / "asked.json").is_file()


def _number_problems(request: SweepRequest, num_samples: int | None) -> list[Problem]:
    """A number of trials beside a grid, which has its own, or larger than the space."""
    if num_samples is None:
        return []
    if request.searcher == "grid":
        text = (
            f"got {num_samples}; a grid has as many trials as points: leave it out, or draw some of them with searcher 'random'"
        )
        return [Problem("num_samples", text)]
    if not isinstance(num_samples, int) or num_samples < 1 or space_problems(request.space):
        return []
    size = distinct_size(request.space, num_samples)
    text = f"got {num_samples}; the space has {size} points, and none is tried twice: give at most {size}, or leave it out"
    return [Problem("num_samples", text)] if size < num_samples else []


def _as_many_as_there_are(request: SweepRequest) -> int:
    """The number of trials where none was said: no point is tried twice."""
    return (
        request.num_samples
        if request.searcher == "grid"
        else int(min(request.num_samples, distinct_size(request.space, request.num_samples)))
    )


def _measured_on_cluster(config: ExperimentConfig, components: Components) -> Decision:
    with importing():
        from rayseg.launch.ray_train import measured_on_cluster  # noqa: PLC0415  ray takes seconds to import

    return measured_on_cluster(config, components)


def _searched(request: SweepRequest, directory: Path) -> SweepResult:
    with importing():
        from rayseg.launch.searching import run_sweep  # noqa: PLC0415  ray takes seconds to import

    return run_sweep(request, directory)


def _with_weight_files(key: str, part: Part) -> Part:
    """The numbers of files of class weights, which the trials' nodes may not have, in place of the files."""
    if isinstance(part, When):
        return replace(part, part=_with_weight_files(key, part.part))
    if not isinstance(part, Choice):
        return part
    return Choice(tuple(read_weight_files({key: value})[key] for value in part.values))
