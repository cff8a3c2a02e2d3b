"""The global generators of Python, NumPy and torch: lent to a run, set anew at every step, given back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from rayseg.collective import rank

__all__ = ["borrowed_generators", "seed_everything", "set_generators"]


@contextmanager
def borrowed_generators() -> Iterator[None]:
    """Put every generator back on exit, so that a run in somebody's own process does not change what that process draws.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> with borrowed_generators():
        ...     _ = torch.manual_seed(7)
        >>> torch.initial_seed()
        0
    """
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - other people's code draws from it
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count()) if used else ()
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


def seed_everything(seed: int, step: int) -> None:
    """Set the generators of Python, NumPy and torch as a function of (seed, step, rank).

    So code that draws from them draws the same after a resume. What should not depend on the number of workers must not
    draw from them: data and dropout have generators of their own.

    Example:
        >>> seed_everything(0, 7)
        >>> first = random.random()
        >>> seed_everything(0, 7)
        >>> random.random() == first
        True
    """
    set_generators(int(np.random.SeedSequence([seed, step, rank()]).generate_state(1)[0]))


def set_generators(word: int) -> None:
    """Set the generators of Python, NumPy and torch to one number of 32 bits.

    Example:
        >>> set_generators(7)
        >>> torch.initial_seed()
        7
    """
    random.seed(word)
    np.random.seed(word)  # noqa: NPY002 - other people's code draws from it
    # Not torch.manual_seed: it notes the whole stack of calls for each kind of device that is not there, at every step.
    torch.default_generator.manual_seed(word)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(word)
