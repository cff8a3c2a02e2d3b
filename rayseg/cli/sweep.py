"""``rayseg sweep``: a search whose space is a file."""

from __future__ import annotations

from argparse import Namespace

from rayseg.cli.loading import loaded
from rayseg.cli.output import say
from rayseg.cli.space import read_space
from rayseg.launch.lineage import SCHEDULE
from rayseg.launch.reporting import REPORT, read_links
from rayseg.launch.summary import SweepResult
from rayseg.launch.sweeping import sweep
from rayseg.space import describe

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Search, then show the ranked table.

    Raises:
        RaysegError: what was wrong with the base or the space, or went wrong.
    """
    base, space = loaded(args), read_space(args.space)
    say(f"{describe(space)}\n")
    result = sweep(
        base,
        space,
        metric=args.metric,
        mode=args.mode,
        num_samples=args.samples,
        time_budget=args.time_budget,
        gpu_hours=args.gpu_hours,
        warm_start=args.warm_start,
        searcher=args.searcher,
        scheduler=None if args.no_early_stop else args.scheduler,
        grace_steps=args.grace_steps,
        perturb_every=args.perturb_every,
        quantile=args.quantile,
        resample=args.resample,
        max_concurrent=args.concurrent,
        confirm=None if args.confirm is None else {"top": args.confirm},
        register=args.register,
    )
    say(f"\n{result}\n")
    say(f"the whole sweep on one page: {result.directory / REPORT}")
    best, schedule = result.directory / "best.yaml", result.directory / SCHEDULE
    replay = f" --schedule {schedule}" if len(result.schedule) > 1 else ""
    say(f"the best recipe runs as it is: rayseg train {best}{replay}")
    if result.confirmation is not None:
        say(f"\n{result.confirmation}\n")
    if args.register is not None:
        say(_registered(result, args.register))
    if result.run_id is not None:
        say(f"to compare the trials: rayseg ui --storage {base.tracking.storage}")
        say("\n".join(f"  {name}: {url}" for name, url in read_links(result.directory).items()))
    return 0


def _registered(result: SweepResult, asked: str) -> str:
    """The version, or why there is none."""
    if result.registered is None:
        remedy = f"rayseg register {result.directory} {asked}"
        return f"not registered: no recipe was found to be better than the baseline; to register the baseline: {remedy}"
    return f"registered: {result.registered.model_uri}, version {result.registered.version}, {result.registered.winner.why}"
