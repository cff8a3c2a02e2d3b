"""Learning rate and momentum of every parameter group over a run that is not started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer

from rayseg.build.data import Data, open_data
from rayseg.build.networks import classes_without_data
from rayseg.build.objects import make_plan
from rayseg.build.optimizers import make_optimizer
from rayseg.build.parts import Components, Parts, resolve_parts
from rayseg.build.resolve import Problems
from rayseg.build.schedules import Schedules, make_schedules
from rayseg.build.start import bare_model
from rayseg.config import ExperimentConfig
from rayseg.errors import ConfigError, Problem
from rayseg.optim import Plateau, apply_schedule, plateau_in

__all__ = ["Rates", "rates_of"]

#: Most steps at which values are taken.
_NUM_POINTS = 2000
#: Sections whose faults leave nothing to show.
_NEEDED = ("optim", "model", "schedule", "train.steps", "train.epochs", "freeze")


@dataclass(frozen=True)
class Rates:
    """What the optimizer is set to at some steps of a run.

    Args:
        steps: rising, the first and the last of the run among them.
        total_steps: of the run.
        steps_per_epoch: None where the data are not here.
        rates: learning rate by parameter group, one value per step; empty for an optimizer without one.
        momenta: momentum (first beta) by parameter group where a schedule moves it, else empty.
        plateau: what waits for scores, of which none have come here; None for other schedules.
    """

    steps: tuple[int, ...]
    total_steps: int
    steps_per_epoch: float | None
    rates: Mapping[str, tuple[float, ...]]
    momenta: Mapping[str, tuple[float, ...]]
    plateau: Plateau | None


def rates_of(config: ExperimentConfig, components: Components | None = None) -> Rates:
    """Set the run's own optimizer to its schedules, step by step, without training.

    The data are opened to know how long an epoch is. Where they are not here and every length is in steps, that is enough.

    Args:
        config: the experiment.
        components: name -> callable given by value.

    Raises:
        ConfigError: the schedule, the optimizer or the model cannot be made, or an epoch's length is needed and not known.

    Example:
        >>> from rayseg.config import ExperimentConfig
        >>> found = rates_of(ExperimentConfig().with_({"schedule.power": 1.0, "train.steps": 4, "model.depth": 1}))
        >>> found.rates
        {'default': (0.001, 0.00075, 0.0005, 0.00025)}
    """
    problems = Problems()
    parts = resolve_parts(config, components or {}, problems)
    _raise_needed(problems)
    unopened = Problems()
    data = open_data(config, parts, unopened)
    if data is None and (place := _first_epochs(config)):
        raise ConfigError([Problem(place, _unknown_epoch(unopened))])
    num_images = 1 if data is None else len(data.train)
    made = make_schedules(config, parts, num_images, problems)
    _raise_needed(problems)
    optimizer = _optimizer(config, parts, data)
    total = make_plan(config, num_images).total_steps
    per_epoch = None if data is None else num_images / config.train.batch_size
    return _read(optimizer, made, total, per_epoch)


def _read(optimizer: Optimizer, made: Schedules, total: int, per_epoch: float | None) -> Rates:
    assert made.rate is not None
    steps = tuple(sorted({*range(0, total, max(1, total // _NUM_POINTS)), total - 1}))
    names = [str(group.get("name", number)) for number, group in enumerate(optimizer.param_groups)]
    rates: dict[str, list[float]] = {name: [] for name in names}
    momenta: dict[str, list[float]] = {name: [] for name in names}
    for step in steps:
        apply_schedule(optimizer, made.rate(step, total), None if made.momentum is None else made.momentum(step, total))
        for name, group in zip(names, optimizer.param_groups, strict=True):
            if "lr" in group:
                rates[name].append(float(group["lr"]))
            if made.momentum is not None:
                momenta[name].append(_momentum(group))
    return Rates(steps, total, per_epoch, _filled(rates), _filled(momenta), plateau_in(made.rate))


def _filled(curves: Mapping[str, list[float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values) for name, values in curves.items() if values}


def _momentum(group: Mapping[str, Any]) -> float:
    return float(group["betas"][0] if "betas" in group else group["momentum"])


def _optimizer(config: ExperimentConfig, parts: Parts, data: Data | None) -> Optimizer:
    num_classes = classes_without_data(config) if data is None else len(data.class_names)
    return make_optimizer(config, parts, bare_model(config, parts, num_classes))


def _raise_needed(problems: Problems) -> None:
    if needed := [problem for problem in problems.found if problem.path.startswith(_NEEDED)]:
        raise ConfigError(needed)


def _first_epochs(config: ExperimentConfig) -> str | None:
    """Dotted path of the first length that is in epochs."""
    written = config.model_dump(mode="json", include={"train": {"epochs"}, "schedule": True})
    return _epochs_in(written["train"], "train") or _epochs_in(written["schedule"], "schedule")


def _epochs_in(tree: Any, path: str) -> str | None:
    if isinstance(tree, list):
        return next((found for each in tree if (found := _epochs_in(each, path))), None)
    if not isinstance(tree, Mapping):
        return None
    if tree.get("epochs") is not None:
        return f"{path}.epochs"
    if tree.get("by_epoch"):
        return f"{path}.by_epoch"
    return next((found for key, each in tree.items() if (found := _epochs_in(each, f"{path}.{key}"))), None)


def _unknown_epoch(unopened: Problems) -> str:
    why = "; ".join(str(problem) for problem in unopened.found)
    return f"an epoch's number of steps is not known, because the data cannot be opened ({why}); give steps, or the data"
