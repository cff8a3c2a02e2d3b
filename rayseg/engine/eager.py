"""What ``torch.compile`` gave up on, which it otherwise says to a log that nobody sees in a trial."""

from __future__ import annotations

import sys

__all__ = ["eager_reasons"]


def eager_reasons() -> list[str]:
    """Why parts of what was to be compiled ran as they are in this process, each in a line; empty where nothing did.

    Counted since the process was last given back (:func:`rayseg.engine.lent_process`).

    Example:
        >>> eager_reasons()
        []
    """
    compiler = sys.modules.get("torch._dynamo.utils")
    return [] if compiler is None else [why.partition("\n")[0] for why in compiler.counters["unimplemented"]]
