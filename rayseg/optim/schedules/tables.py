"""Schedulers of torch, and functions that set the rate of an optimizer, as tables: so that a step is all they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch.optim import Optimizer

from rayseg.optim.schedules._arguments import Schedule

__all__ = ["Tables", "table_of_function", "table_of_scheduler"]


class _Scheduler(Protocol):
    def step(self) -> Any: ...


class Tables(NamedTuple):
    """Multipliers of the learning rate, and of momentum where that is moved too."""

    lr: Schedule
    momentum: Schedule | None


@dataclass(frozen=True)
class _Table:
    values: tuple[float, ...]

    def __call__(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        return self.values[min(max(step, 0), len(self.values) - 1)]


class _Record:
    """Rate and momentum of an optimizer's first group, as ratios of what they were."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._group = optimizer.param_groups[0]
        self._first = self._read()
        self._rows: list[tuple[float, float]] = []

    def add(self) -> None:
        self._rows.append(self._read())

    def tables(self) -> Tables:
        (first_lr, first_momentum), rates = self._first, [lr for lr, _ in self._rows]
        momenta = [momentum for _, momentum in self._rows]
        moved = any(momentum != first_momentum for momentum in momenta)
        ratios = _Table(tuple(momentum / first_momentum for momentum in momenta)) if moved and first_momentum else None
        return Tables(_Table(tuple(rate / first_lr for rate in rates)), ratios)

    def _read(self) -> tuple[float, float]:
        momentum = self._group["betas"][0] if "betas" in self._group else self._group.get("momentum", 0.0)
        return float(self._group["lr"]), float(momentum)


def table_of_scheduler(make: Callable[[Optimizer], _Scheduler], optimizer: Optimizer, num_values: int) -> Tables:
    """Run a scheduler of torch's kind to its end on an optimizer that trains nothing.

    What it writes as absolute rates becomes ratios of the optimizer's rate, so groups keep their proportions.

    Args:
        make: ``optimizer -> scheduler``, whose ``step()`` needs nothing.
        optimizer: of the run's kind and settings, with one group; it is changed.
        num_values: counts of the scheduler in the run: steps, or epochs.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
        >>> halved = table_of_scheduler(lambda each: torch.optim.lr_scheduler.StepLR(each, 2, 0.5), optimizer, 5)
        >>> [halved.lr(step, 5) for step in range(5)]
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    record = _Record(optimizer)
    scheduler = make(optimizer)
    record.add()
    optimizer.step()  # torch warns of a scheduler that is stepped before its optimizer
    for _ in range(num_values - 1):
        scheduler.step()
        record.add()
    return record.tables()


def table_of_function(adjust: Callable[[Optimizer, int], Any], optimizer: Optimizer, num_values: int) -> Tables:
    """Call an ``adjust_learning_rate(optimizer, epoch)`` for every count of the run.

    Args:
        adjust: ``(optimizer, count)``, count from 0; sets ``lr`` in ``param_groups``.
        optimizer: of the run's kind and settings, with one group; it is changed.
        num_values: counts in the run.

    Example:
        >>> import torch
        >>> def adjust_learning_rate(optimizer, epoch):
        ...     for group in optimizer.param_groups:
        ...         group["lr"] = 0.4 * 0.5 ** (epoch // 2)
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
        >>> table_of_function(adjust_learning_rate, optimizer, 6).lr(4, 6)
        0.25
    """
    record = _Record(optimizer)
    for count in range(num_values):
        adjust(optimizer, count)
        record.add()
    return record.tables()
