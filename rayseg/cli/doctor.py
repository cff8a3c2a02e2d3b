"""``rayseg doctor``: what is wrong here, and what to do."""

from __future__ import annotations

from argparse import Namespace

from rayseg.cli.output import fill, say
from rayseg.launch.doctor import doctor

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Print every finding; 1 when something should be done."""
    findings = doctor(args.storage, args.uri, fix=args.fix)
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        say(fill(f"{'ok' if finding.todo is None else '->':<3} {finding.topic:<{width}}  {finding.told}", hang=width + 6))
        if finding.todo is not None:
            say(fill(f"    {'':<{width}}  {finding.todo}"))
    wrong = sum(finding.todo is not None for finding in findings)
    say(f"\n{'nothing to do' if wrong == 0 else f'{wrong} to do'}")
    return int(wrong > 0)
