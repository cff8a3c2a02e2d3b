"""A schedule's names resolved; and its lengths, which become steps when the size of the training set is known."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import ValidationError
from torch.optim.lr_scheduler import ReduceLROnPlateau

from rayseg.build.resolve import Problems, Resolved, bind, find
from rayseg.config import Length, MomentumConfig, ScheduleConfig, Spec
from rayseg.optim import SCHEDULES

__all__ = ["Kind", "counted", "kind_of", "resolve_schedule", "schedule_specs"]

#: A schedule of ours, a scheduler of torch's kind, or a function ``(optimizer, epoch)`` that sets the rate.
Kind = Literal["schedule", "scheduler", "function"]

_NUM_POSITIONAL: Mapping[Kind, int] = {"schedule": 0, "scheduler": 1, "function": 2}


def schedule_specs(spec: ScheduleConfig | MomentumConfig, path: str) -> dict[str, Spec]:
    """What names a callable, by dotted path: the schedule itself, or its phases."""
    return {f"{path}.phases.{name}": phase for name, phase in spec.phases.items()} or {path: spec}


def resolve_schedule(
    spec: ScheduleConfig | MomentumConfig, path: str, components: Mapping[str, Callable[..., Any]], problems: Problems
) -> dict[str, Resolved] | None:
    """The callable of a schedule, or of each of its phases; lengths in its arguments are one step long for now.

    Args:
        spec: what the user wrote.
        path: where.
        components: name -> callable, given by value.
        problems: every fault is added here.

    Returns:
        Dotted path -> callable; None when a fault was found.
    """
    table = {**SCHEDULES, **components}
    found = {place: _resolve(each, place, table, components, problems) for place, each in schedule_specs(spec, path).items()}
    whole = {place: call for place, call in found.items() if call is not None}
    return whole if len(whole) == len(found) else None


def _resolve(
    spec: Spec, path: str, table: Mapping[str, Callable[..., Any]], components: Mapping[str, Any], problems: Problems
) -> Resolved | None:
    target = find(spec.type, path, problems, table)
    if target is None:
        return None
    if kind_of(target) == "scheduler" and _wants_scores(target):
        problems.add(
            f"{path}.type", f"{spec.type!r} needs a score at each step; use the built-in 'plateau', which is told scores"
        )
        return None
    before = len(problems.found)
    names = {key: value for key, value in spec.kwargs.items() if isinstance(value, str) and _is_function(target, key)}
    for key in (key for key, value in spec.kwargs.items() if isinstance(value, list | tuple) and _is_function(target, key)):
        problems.add(f"{path}.{key}", "is a list; name one function, and let groups differ by optim.groups.<name>.lr_mult")
    functions = {key: find(name, path, problems, components, key=key) for key, name in names.items()}
    if len(problems.found) > before:
        return None
    return _bound(target, spec, path, problems, functions, lambda _length, _path: 1)


def counted(call: Resolved, spec: Spec, path: str, problems: Problems, count: Callable[[Length, str], int]) -> Resolved | None:
    """A resolved callable with its lengths as whole numbers.

    Args:
        call: of :func:`resolve_schedule`.
        spec: what the user wrote.
        path: where.
        problems: every fault is added here.
        count: ``(length, dotted path) -> steps``.

    Returns:
        None when a fault was found.
    """
    functions = {key: value for key, value in call.kwargs.items() if callable(value)}
    return _bound(call.target, spec, path, problems, functions, count)


def kind_of(target: Callable[..., Any]) -> Kind:
    """What a callable is: one whose first argument is called ``optimizer`` moves that optimizer.

    Example:
        >>> import torch
        >>> kind_of(torch.optim.lr_scheduler.StepLR), kind_of(lambda optimizer, epoch: None), kind_of(lambda *, power=1: None)
        ('scheduler', 'function', 'schedule')
    """
    try:
        first = next(iter(inspect.signature(target).parameters), None)
    except (TypeError, ValueError):
        return "schedule"
    if first != "optimizer":
        return "schedule"
    return "scheduler" if inspect.isclass(target) else "function"


def _wants_scores(target: Callable[..., Any]) -> bool:
    if isinstance(target, type) and issubclass(target, ReduceLROnPlateau):
        return True
    step = getattr(target, "step", None)
    parameters = [] if step is None else list(inspect.signature(step).parameters.values())[1:]
    return any(each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD for each in parameters)


def _is_function(target: Callable[..., Any], name: str) -> bool:
    """Whether an argument is annotated as a function, which a config names by its import path."""
    try:
        parameter = inspect.signature(target).parameters.get(name)
    except (TypeError, ValueError):
        return False
    return parameter is not None and "Callable" in str(parameter.annotation)


def _bound(
    target: Callable[..., Any],
    spec: Spec,
    path: str,
    problems: Problems,
    functions: Mapping[str, Any],
    count: Callable[[Length, str], int],
) -> Resolved | None:
    before = len(problems.found)
    written = {key: value for key, value in spec.kwargs.items() if key not in functions}
    numbers = {key: _in_numbers(value, f"{path}.{key}", problems, count) for key, value in written.items()}
    if len(problems.found) > before:
        return None
    plain = Spec(type=spec.type, args=numbers)
    call = bind(target, plain, path, problems, given=tuple(functions), num_positional=_NUM_POSITIONAL[kind_of(target)])
    return None if call is None else replace(call, kwargs={**call.kwargs, **functions})


def _in_numbers(value: Any, path: str, problems: Problems, count: Callable[[Length, str], int]) -> Any:
    """A value with every ``{steps: n}`` and ``{epochs: x}`` in it as a number."""
    if isinstance(value, list | tuple):
        return [_in_numbers(each, path, problems, count) for each in value]
    if not isinstance(value, Mapping) or not value or not set(value) <= set(Length.model_fields):
        return value
    try:
        return count(Length.model_validate(dict(value)), path)
    except ValidationError as error:
        problems.add(
            path, f"is no length, {{steps: n}} or {{epochs: x}}: {error.errors()[0]['msg'].lower()}; got {dict(value)}"
        )
        return 1
