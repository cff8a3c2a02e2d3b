"""``rayseg train``: one experiment."""

from __future__ import annotations

from argparse import Namespace

from rayseg.cli.loading import loaded
from rayseg.cli.output import say, table
from rayseg.launch import train

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Train, then say what came of it and where it lies.

    Raises:
        RaysegError: what was wrong with the config, or went wrong.
    """
    result = train(loaded(args), schedule=args.schedule)
    whole = {name: value for name, value in result.metrics.items() if name.startswith("val/") and name.count("/") == 1}
    scores = [(name, f"{value:.4f}") for name, value in whole.items()]
    say("\nafter the last step" if result.stopped is None else f"\nended early: {result.stopped}")
    say(table([*scores, ("run", str(result.directory)), ("best checkpoint", str(result.checkpoint))]))
    if result.run_id is not None:
        say(f"to look at it: rayseg ui --storage {result.config.tracking.storage}")
    return 0
