"""``rayseg confirm``: the best recipes of a sweep and its baseline over paired seeds."""

from __future__ import annotations

from argparse import Namespace

from rayseg.cli.output import say
from rayseg.launch.confirmation import confirm
from rayseg.launch.reporting import REPORT

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Confirm, then show the verdicts.

    Raises:
        RaysegError: what was wrong with the sweep or the numbers, or went wrong.
    """
    found = confirm(
        args.sweep,
        top=args.top,
        seeds=args.seeds,
        max_seeds=args.max_seeds,
        smallest=args.smallest,
        max_concurrent=args.concurrent,
    )
    say(f"\n{found}\n")
    say(f"the whole sweep on one page: {found.directory.parent / REPORT}")
    own = found.directory.parent
    replay = f" --schedule {own / 'confirmed-schedule.yaml'}" if found.schedule else ""
    say(f"it runs as it is: rayseg train {own / 'confirmed.yaml'}{replay}")
    return 0
