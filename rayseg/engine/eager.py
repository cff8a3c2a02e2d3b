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
    counters = getattr(sys.modules.get("torch._dynamo.utils"), "counters", {})  # torch's own, and may be missing in a version
    return [why.partition("\n")[0] for why in counters.get("unimplemented", ())]
