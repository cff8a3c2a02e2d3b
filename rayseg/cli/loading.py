"""The experiment that a command line names."""

from __future__ import annotations

from argparse import Namespace

from rayseg.compat import parse_cfg_options
from rayseg.config import ExperimentConfig, parse_assignments
from rayseg.load import load_config

__all__ = ["loaded"]


def loaded(args: Namespace) -> ExperimentConfig:
    """The config file of the arguments under their overrides.

    Args:
        args: ``config``, ``overrides``, and for configs of MMSegmentation ``cfg_options`` and ``not_strict``.

    Raises:
        ConfigError: with every fault of it.
    """
    return load_config(
        args.config,
        parse_assignments(args.overrides),
        cfg_options=parse_cfg_options(args.cfg_options),
        strict=not args.not_strict,
    )
