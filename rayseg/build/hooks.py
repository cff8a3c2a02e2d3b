"""Hooks: made, put in order, and asked whether they could ever do something."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from rayseg.build.data import Data
from rayseg.build.objects import make_plan
from rayseg.build.parts import Parts
from rayseg.build.resolve import Problems, caught, nearest
from rayseg.config import ExperimentConfig
from rayseg.engine import EarlyStopping, Hook
from rayseg.engine.hooks import POINTS, PRIORITIES, in_order, priority_of
from rayseg.metrics import METRICS

__all__ = ["check_monitors", "known_metrics", "make_hooks", "try_hooks"]


def make_hooks(config: ExperimentConfig, parts: Parts) -> dict[str, Hook]:
    """Hooks by name, in the order in which they are called."""
    hooks: dict[str, Hook] = {name: call() for name, call in parts.hooks.items()}
    return in_order(hooks, {name: priority_of(config.hooks[name].priority, hook) for name, hook in hooks.items()})


def try_hooks(config: ExperimentConfig, parts: Parts, problems: Problems) -> dict[str, Hook]:
    """Make each once; what a function returned must have a method that is called, and take what it is called with."""
    hooks: dict[str, Hook] = {}
    for name, call in parts.hooks.items():
        before = len(problems.found)
        hook = caught(f"hooks.{name}", problems, call)
        if len(problems.found) > before or problems.has(f"hooks.{name}"):
            continue
        if fault := _methods_fault(hook) or _priority_fault(config.hooks[name].priority, hook):
            problems.add(f"hooks.{name}", f"{call.name!r} {fault}")
            continue
        hooks[name] = hook
    return hooks


def _methods_fault(hook: Any) -> str | None:
    methods = {point: getattr(hook, point) for point in POINTS if hasattr(hook, point)}
    if not methods:
        return f"would never be called; give it at least one of the methods {', '.join(POINTS)}"
    for point, method in methods.items():
        try:
            inspect.signature(method).bind(*POINTS[point])
        except ValueError:
            continue  # written in C, and does not say what it takes
        except TypeError as error:
            return f"cannot be called as {point}({', '.join(POINTS[point])}): {error}"
    if hasattr(hook, "state_dict") and not hasattr(hook, "load_state_dict"):
        return "has state_dict and no load_state_dict, so what is saved would never come back; give it both, or none"
    return None


def _priority_fault(written: str | int | None, hook: Any) -> str | None:
    try:
        known = 0 <= priority_of(written, hook) <= PRIORITIES["LOWEST"]
    except (KeyError, TypeError, ValueError):
        known = False
    return None if known else f"has the priority {hook.priority!r}; expected {', '.join(PRIORITIES)}, or a number from 0 to 100"


def known_metrics(config: ExperimentConfig, class_names: Sequence[str]) -> list[str]:
    """Names that an evaluation gives, without what hooks add."""
    kinds = list(dict.fromkeys(kind for metric in config.eval.metrics for kind in METRICS[metric]))
    means = [*(f"val/m{kind}" for kind in kinds), "val/aAcc"]
    scores = [f"val/{kind}/{name}" for kind in kinds for name in class_names]
    return [*means, *scores, "val/loss", *(f"val/loss/{name}" for name in config.losses)]


def check_monitors(config: ExperimentConfig, hooks: Mapping[str, Hook], data: Data, problems: Problems) -> None:
    """Early stopping: a metric that there is, and a patience that can end. Other hooks may add metrics of their own."""
    stopping = {name: hook for name, hook in hooks.items() if isinstance(hook, EarlyStopping)}
    names = known_metrics(config, data.class_names)
    for name, hook in stopping.items():
        if hook.monitor not in names and len(config.hooks) == len(stopping):
            message = f"no metric is called {hook.monitor!r}; such as val/mIoU, val/loss.{nearest(hook.monitor, names)}"
            problems.add(f"hooks.{name}.monitor", message)
        plan = caught("train", problems, lambda: make_plan(config, len(data.train)))
        if plan is None or hook.threshold is not None:
            continue
        evaluations = sum(plan.evaluates(step) for step in range(1, plan.total_steps))
        if evaluations <= hook.patience:
            message = (
                f"got {hook.patience}, but only {evaluations} evaluations come before the last step, so it could not end the "
                "run early; give less, evaluate more often (eval.every), or remove the hook"
            )
            problems.add(f"hooks.{name}.patience", message)
