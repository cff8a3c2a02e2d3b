"""``rayseg report``: the page of a sweep, made again."""

from __future__ import annotations

from argparse import Namespace

from rayseg.cli.output import say
from rayseg.launch.confirmation import report

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Write the page, then say where.

    Raises:
        ConfigError: there is no such sweep, or it has not ended.
    """
    say(f"the whole sweep on one page: {report(args.sweep)}")
    return 0
