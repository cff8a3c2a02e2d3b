"""``rayseg register``: the winner of a search, or a run's best, in MLflow's registry."""

from __future__ import annotations

import shlex
from argparse import Namespace

from rayseg.cli.output import say, table
from rayseg.launch.registering import register
from rayseg.tracking import without_password

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Register, then say how it is used.

    Raises:
        RaysegError: what was wrong with the place or the name, or went wrong.
    """
    name, _, alias = args.name.partition("@")
    done = register(args.place, name, alias=alias or None, uri=args.uri, size=args.size and tuple(args.size))
    rows = {
        "model": f"{done.name} version {done.version}",
        "is": done.winner.why,
        "checkpoint": str(done.winner.checkpoint),
        "takes": f"{done.takes}, float32, RGB 0-255",
        "load it": f"mlflow.pytorch.load_model({done.model_uri!r})",
        "serve it": f"mlflow models serve -m {done.model_uri} --env-manager local",
        "both with": f"MLFLOW_TRACKING_URI={shlex.quote(without_password(done.uri))}",
    }
    say(table(rows.items()))
    return 0
