"""``rayseg adopt``: weights that were trained elsewhere, as a checkpoint."""

from __future__ import annotations

from argparse import Namespace

from rayseg.build import adopt
from rayseg.cli.loading import loaded
from rayseg.cli.output import say

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Write the checkpoint, and say what was loaded.

    Raises:
        RaysegError: what was wrong with the config or the weights, or why there is no checkpoint.
    """
    config = loaded(args, {"init": {"checkpoint": args.weights, "strict": True}})
    say(str(adopt(config, args.out)))
    say(f"checkpoint: {args.out}   use it: rayseg eval {args.out}")
    return 0
