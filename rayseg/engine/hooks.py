"""Where a user's code may look into the loop.

::

    on_start(run)
    for step in range(run.state.step, plan.total_steps):
        freeze and release what the config says
        before_step(run)
        parts = forward, mix, backward; clip; optimizer.step(); ema
        after_step(run, parts)              state.step is now step + 1
        if plan.evaluates(state.step):
            on_eval(run, metrics)           may add to metrics
        if plan.saves(state.step):
            on_checkpoint(run, directory)   rank 0: the sealed directory; other ranks: None
    on_end(run)

A hook is an object with any of these methods. Every rank calls every hook in the same order, so a hook may use collectives.
Slow work belongs in ``on_eval`` and ``on_checkpoint``. A hook with ``state_dict`` and ``load_state_dict`` is saved and
restored with the run; its state is made of tensors and plain values, because checkpoints are read with ``weights_only``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from rayseg.errors import CheckpointError

__all__ = ["POINTS", "Hook", "call_hooks", "hook_states", "restore_hooks"]

POINTS = ("on_start", "before_step", "after_step", "on_eval", "on_checkpoint", "on_end")


class Hook(Protocol):
    """Any object with at least one of the methods in ``POINTS``."""


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
