"""Ctrl-C ends a search also where the code that it fell into dropped it."""

from __future__ import annotations

import os
import signal

import pytest

from rayseg.launch.interrupts import Insist, noted_interrupts

pytestmark = pytest.mark.ray


def _drop_an_interrupt() -> None:
    """As a callback of a compiled library may."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
        signal.sigtimedwait([], 1.0)
    except KeyboardInterrupt:
        pass


def test_an_interrupt_that_was_dropped_is_raised_at_the_next_step() -> None:
    with noted_interrupts():
        Insist().on_step_begin(0, [])
        _drop_an_interrupt()
        with pytest.raises(KeyboardInterrupt):
            Insist().on_step_begin(1, [])


def test_the_handler_and_the_note_are_as_they_were_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with noted_interrupts():
        _drop_an_interrupt()
    assert signal.getsignal(signal.SIGINT) is before
    Insist().on_step_begin(0, [])
