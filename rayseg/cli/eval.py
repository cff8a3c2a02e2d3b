"""``rayseg eval``: scores of a checkpoint over a split."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from rayseg.build import evaluate
from rayseg.cli.output import say, table
from rayseg.config import parse_assignments

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Evaluate, then show the scores, those of the whole first.

    Raises:
        RaysegError: what was wrong with the checkpoint or the data.
    """
    metrics = evaluate(args.checkpoint, split=args.split, overrides=parse_assignments(args.overrides))
    whole = {name: value for name, value in metrics.items() if not _is_class_score(name)}
    say(table((name, f"{value:.4f}") for name, value in whole.items()))
    say()
    say(table(_class_rows(metrics)))
    return 0


def _is_class_score(name: str) -> bool:
    return name.count("/") > 1 and name.split("/")[1] != "loss"


def _class_rows(metrics: Mapping[str, float]) -> list[list[str]]:
    """A line per class under a line of titles."""
    by_class: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        if _is_class_score(name):
            _, kind, class_name = name.split("/", 2)
            by_class.setdefault(class_name, {})[kind] = value
    kinds = list(dict.fromkeys(kind for scores in by_class.values() for kind in scores))
    rows = [[name, *(f"{scores[kind]:.4f}" for kind in kinds)] for name, scores in by_class.items()]
    return [["class", *kinds], *rows]
