"""``rayseg eval``: scores of a checkpoint over a split."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from rayseg.build import evaluate
from rayseg.cli.asked import EVALUATION_KEYS, require_used
from rayseg.cli.output import say, table
from rayseg.config import parse_assignments
from rayseg.errors import ConfigError, Problem
from rayseg.metrics import METRICS

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Evaluate, then show the scores, those of the whole first.

    Raises:
        RaysegError: what was wrong with the checkpoint or the data.
    """
    overrides = parse_assignments(args.overrides)
    require_used(overrides, EVALUATION_KEYS, "an evaluation")
    if args.all and "eval.metrics" in overrides:
        raise ConfigError(
            [Problem("eval.metrics", "says which metrics, and --all says every one; leave one out")], "the command line"
        )
    if args.all:
        overrides = {**overrides, "eval.metrics": list(METRICS)}
    metrics = _scores(args.checkpoint, args.workers, split=args.split, overrides=overrides)
    if args.json:
        say(json.dumps(metrics, indent=2))
        return 0
    whole = {name: value for name, value in metrics.items() if not _is_class_score(name)}
    say(table((name, f"{value:.4f}") for name, value in whole.items()))
    say()
    say(table(_class_rows(metrics)))
    return 0


def _scores(checkpoint: str, workers: int, **asked: Any) -> dict[str, float]:
    if workers < 0:
        raise ConfigError([Problem("--workers", f"must be 0 or more, got {workers}")], "the command line")
    if workers == 0:
        return evaluate(checkpoint, **asked)
    from rayseg.launch import evaluate_on_ray  # noqa: PLC0415  (Ray is slow to import)

    return evaluate_on_ray(checkpoint, workers=workers, **asked)


def _is_class_score(name: str) -> bool:
    return name.count("/") > 1 and name.split("/")[1] != "loss"


def _class_rows(metrics: Mapping[str, float]) -> list[list[str]]:
    """A line per class under a line of titles."""
    by_class: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        if _is_class_score(name):
            _, kind, class_name = name.split("/", 2)
            by_class.setdefault(class_name, {})[kind] = value
    found = {kind for scores in by_class.values() for kind in scores}
    kinds = [kind for kind in dict.fromkeys(kind for kinds in METRICS.values() for kind in kinds) if kind in found]
    rows = [[name, *(f"{scores[kind]:.4f}" if kind in scores else "-" for kind in kinds)] for name, scores in by_class.items()]
    return [["class", *kinds], *rows]
