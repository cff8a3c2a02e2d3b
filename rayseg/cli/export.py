"""``rayseg export``: a checkpoint as a file for other programs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rayseg.build import Exported, export
from rayseg.cli.asked import MODEL_KEYS, require_used
from rayseg.cli.output import say, table
from rayseg.cli.pictures import named_pictures
from rayseg.config import parse_assignments
from rayseg.errors import ConfigError, Problem

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Write the file, and say what it takes and how well it agrees with the model.

    Raises:
        RaysegError: what was wrong with the checkpoint, or why there is no file.
    """
    overrides = parse_assignments(args.overrides)
    require_used(overrides, (*MODEL_KEYS, "data.palette", "data.val_split"), "an export")
    program = {"size": args.size and tuple(args.size), "returns": args.returns, "tolerance": args.tolerance}
    given: dict[str, Any] = {name: value for name, value in program.items() if value is not None}
    if args.images:
        given["images"] = list(named_pictures(args.images).values())
    _require_program(args.format, given)
    done = export(args.checkpoint, args.output, form=args.format, overrides=overrides, **given)
    say(table(_rows(done, args.returns)))
    return 0


def _require_program(form: str | None, given: dict[str, Any]) -> None:
    """Weights are written as they are.

    Raises:
        ConfigError: something was asked for that only programs have.
    """
    if form in ("mmseg", "state_dict") and given:
        message = f"says something about programs, and format {form} has weights only; leave it out, or choose another format"
        raise ConfigError([Problem(f"--{name}", message) for name in given], "the command line")


def _rows(done: Exported, returns: str | None) -> Iterator[tuple[str, str]]:
    yield "format", done.form
    if done.sizes is not None:
        yield "images", f"{done.sizes}, float32, RGB 0-255"
        yield "returns", returns or "logits"
        yield "checked", str(done.agreement)
    yield from (("note", note) for note in done.notes)
    yield "file", f"{done.path} ({Path(done.path).stat().st_size / 1e6:.1f} MB)"
