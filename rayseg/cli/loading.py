"""The experiment that a command line names."""

from __future__ import annotations

import warnings
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from rayseg.cli.output import complain
from rayseg.compat import parse_cfg_options
from rayseg.config import ExperimentConfig, parse_assignments
from rayseg.load import load_config

__all__ = ["loaded"]


def loaded(args: Namespace, own: Mapping[str, Any] | None = None) -> ExperimentConfig:
    """The config file of the arguments under their overrides; what is to be known of it is said on stderr.

    Args:
        args: ``config``, ``overrides``, and for configs of MMSegmentation ``cfg_options`` and ``not_strict``.
        own: overrides of the command itself, under those of the arguments.

    Raises:
        ConfigError: with every fault of it.
    """
    overrides, options = {**(own or {}), **parse_assignments(args.overrides)}, parse_cfg_options(args.cfg_options)
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", UserWarning)
        config = load_config(args.config, overrides, cfg_options=options, strict=not args.not_strict)
    for each in noted:
        complain(f"to be known: {each.message}")
    return config
