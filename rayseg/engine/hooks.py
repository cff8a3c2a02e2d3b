"""Where a user's code may look into the loop.

::

    on_start(run)
    for step in range(run.state.step, plan.total_steps):
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
restored with the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

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
    """State of every hook that has one."""
    return {name: hook.state_dict() for name, hook in hooks.items() if hasattr(hook, "state_dict")}


def restore_hooks(hooks: Mapping[str, Hook], states: Mapping[str, Any]) -> None:
    """Give every hook its saved state back; a hook that is new has none."""
    for name, hook in hooks.items():
        if name in states and hasattr(hook, "load_state_dict"):
            hook.load_state_dict(states[name])
