"""``rayseg show``: every effective value and where it came from."""

from __future__ import annotations

import json
import os
import warnings
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rayseg.cli.output import say
from rayseg.compat import mmseg_config_file, parse_cfg_options
from rayseg.config import ExperimentConfig, json_schema, parse_assignments, render, to_yaml
from rayseg.errors import ConfigError, Problem
from rayseg.load import load_with_origins

__all__ = ["run"]


def run(args: Namespace) -> int:
    """Show a config as a table or as YAML, its starting weights, parameter groups or schedules, or the schema of all configs.

    Raises:
        ConfigError: with every problem of the file or the overrides; with ``--init``, of the experiment.
    """
    if args.png and not args.schedule:
        raise ConfigError([Problem("--png", "is the picture of --schedule; give both, or leave it out")], "the command line")
    if args.schema:
        say(json.dumps(json_schema(), indent=2))
        return 0
    path, overrides = _split(args.words)
    config, origins, notes = _loaded(args, path, parse_assignments(overrides))
    if args.init:
        say(_weights(config))
        return 0
    if args.groups:
        from rayseg.cli.groups import groups_table  # noqa: PLC0415  needs torch, as the rest of `show` does not

        say(groups_table(config))
        return 0
    if args.schedule:
        _show_schedule(config, args.png)
        return 0
    if args.yaml or (path is not None and mmseg_config_file(path) is not None):
        say("\n".join([*(f"# {note}" for note in notes), to_yaml(config.to_dict()).rstrip()]))
        return 0
    say(render(config, origins))
    return 0


def _loaded(
    args: Namespace, path: str | None, overrides: Mapping[str, Any]
) -> tuple[ExperimentConfig, dict[str, str], list[str]]:
    """The config, where its values come from, and what is to be known of its translation."""
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        config, origins = load_with_origins(
            path, overrides, os.environ, cfg_options=parse_cfg_options(args.cfg_options), strict=not args.not_strict
        )
    return config, origins, [str(each.message) for each in noted]


def _weights(config: ExperimentConfig) -> str:
    """Every tensor that a run would load, re-initialise or leave."""
    from rayseg.build.start import weights_of  # noqa: PLC0415  needs tensors

    report, init = weights_of(config), config.init
    if init is None:
        own = "" if report is None else f"{report.text()}\nall else in the model is initialised by the seed"
        return own or "init: null, every weight is initialised by the seed"
    goes_on = f"run {config.tracking.name!r} goes on from its own checkpoint, so {init.checkpoint} is not read"
    return goes_on if report is None else report.text()


def _show_schedule(config: ExperimentConfig, png: str | None) -> None:
    from rayseg.build.rates import rates_of  # noqa: PLC0415  needs tensors
    from rayseg.cli.schedule import schedule_plot, write_schedule_png  # noqa: PLC0415

    rates = rates_of(config)
    say(schedule_plot(rates))
    if png is not None:
        say(f"\npicture  {write_schedule_png(rates, png)}")


def _split(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The config file, if the first word is one, and the overrides."""
    if words and ("=" not in words[0] or Path(words[0]).is_file()):
        return words[0], words[1:]
    return None, words
