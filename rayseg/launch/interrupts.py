"""Ctrl-C that cannot get lost.

A ``KeyboardInterrupt`` is raised wherever Python happens to be, so also inside a callback of a compiled library, which may drop
it: then a sweep would go on as if nothing had been typed. So the handler also takes a note, and whoever has a loop looks at it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import ray.tune

__all__ = ["Insist", "noted_interrupts"]

_typed = threading.Event()


@contextmanager
def noted_interrupts() -> Iterator[None]:
    """Take a note of Ctrl-C before it is answered as it was before; only in the main thread, where Python has signals."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        _typed.set()
        before(number, frame)

    _typed.clear()
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _typed.clear()


class Insist(ray.tune.Callback):
    """Raises a ``KeyboardInterrupt`` that was noted and lost, at the next step of Tune's loop."""

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ARG002
        """Before Tune looks for the next event.

        Raises:
            KeyboardInterrupt: it was typed, and the search still runs.
        """
        if _typed.is_set():
            raise KeyboardInterrupt
