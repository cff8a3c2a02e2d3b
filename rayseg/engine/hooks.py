"""Where a user's code may look into the loop.

::

    on_start(run)
    for step in range(run.state.step, plan.total_steps):
        if plan.begins_epoch(step):
            before_epoch(run, epoch)
        freeze and release what the config says
        before_step(run)
        parts = forward, mix, backward; clip; optimizer.step(); average
        after_step(run, parts)              state.step is now step + 1
        if plan.begins_epoch(state.step):
            after_epoch(run, epoch)
        if plan.evaluates(state.step):
            before_eval(run)
            on_eval(run, metrics)           may add to metrics
        if plan.saves(state.step):
            before_checkpoint(run)
            on_checkpoint(run, directory)   rank 0: the sealed directory; other ranks: None
        if a hook called run.stop(reason):
            the last checkpoint, then break
    on_end(run)

A hook is an object with any of these methods. Every rank calls every hook in the same order, so a hook may use collectives:
by priority, low numbers first, and in the order of the config where priorities are equal. Slow work belongs in ``on_eval`` and
``on_checkpoint``. A hook with ``state_dict`` and ``load_state_dict`` is saved and restored with the run; its state is made of
tensors and plain values, because checkpoints are read with ``weights_only``.

Epochs are those of the sample stream: ``plan.epoch(step)`` is the number of the pass over the training set in which step
``step`` begins, a function of the step, so a resumed run calls what the uninterrupted one calls, and no point twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

from torch import Tensor

from rayseg.errors import CheckpointError

__all__ = ["POINTS", "PRIORITIES", "Hook", "call_hooks", "hook_states", "in_order", "priority_of", "restore_hooks"]

#: Methods that are called, and with what.
POINTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "on_start": ("run",),
        "before_epoch": ("run", "epoch"),
        "before_step": ("run",),
        "after_step": ("run", "parts"),
        "after_epoch": ("run", "epoch"),
        "before_eval": ("run",),
        "on_eval": ("run", "metrics"),
        "before_checkpoint": ("run",),
        "on_checkpoint": ("run", "directory"),
        "on_end": ("run",),
    }
)

#: mmcv's and mmengine's names.
PRIORITIES: Mapping[str, int] = MappingProxyType(
    {
        "HIGHEST": 0,
        "VERY_HIGH": 10,
        "HIGH": 30,
        "ABOVE_NORMAL": 40,
        "NORMAL": 50,
        "BELOW_NORMAL": 60,
        "LOW": 70,
        "VERY_LOW": 90,
        "LOWEST": 100,
    }
)


class Hook(Protocol):
    """Any object with at least one of the methods in ``POINTS``."""


def priority_of(written: str | int | None, hook: Hook | None = None) -> int:
    """The number of a priority: what the user wrote, else the hook's own attribute ``priority``, else 50.

    Example:
        >>> priority_of("HIGH"), priority_of(35), priority_of(None)
        (30, 35, 50)
    """
    chosen = getattr(hook, "priority", "NORMAL") if written is None else written
    return PRIORITIES[chosen] if isinstance(chosen, str) else int(chosen)


def in_order(hooks: Mapping[str, Hook], priorities: Mapping[str, int]) -> dict[str, Hook]:
    """Hooks in the order in which they are called.

    Args:
        hooks: in the order of the config.
        priorities: by name; low numbers come first, equal ones stay in order.

    Example:
        >>> list(in_order({"a": object(), "b": object(), "c": object()}, {"a": 50, "b": 30, "c": 50}))
        ['b', 'a', 'c']
    """
    return {name: hooks[name] for name in sorted(hooks, key=priorities.__getitem__)}


def call_hooks(hooks: Mapping[str, Hook], point: str, *args: Any) -> None:
    """Call ``point`` of every hook that has it, in the order of the mapping."""
    for hook in hooks.values():
        method = getattr(hook, point, None)
        if method is not None:
            method(*args)


def hook_states(hooks: Mapping[str, Hook]) -> dict[str, Any]:
    """State of every hook that has one.

    Raises:
        CheckpointError: a state holds something that a checkpoint could not give back.
    """
    states = {name: hook.state_dict() for name, hook in hooks.items() if hasattr(hook, "state_dict")}
    for name, state in states.items():
        _require_plain(state, f"hooks.{name}: state_dict()")
    return states


def _require_plain(value: Any, where: str) -> None:
    """Refuse what can be written and not be read again: the run would be lost when it is needed."""
    if type(value) in (dict, OrderedDict, list, tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            _require_plain(item, f"{where}[{key!r}]")
    elif not (isinstance(value, Tensor) or type(value) in (bool, int, float, complex, str, bytes, set, type(None))):
        raise CheckpointError(
            f"{where} is a {type(value).__name__}; expected tensors, numbers, text, lists and dicts, which a checkpoint "
            "gives back: convert it, such as by torch.as_tensor(...) or float(...)"
        )


def restore_hooks(hooks: Mapping[str, Hook], states: Mapping[str, Any]) -> None:
    """Give every hook its saved state back; a hook that is new has none."""
    for name, hook in hooks.items():
        if name in states and hasattr(hook, "load_state_dict"):
            hook.load_state_dict(states[name])
