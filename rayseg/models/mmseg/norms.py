"""Numbers of a part's batch norms, MMSegmentation's ``norm_cfg`` without what ``model.norm`` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from rayseg.config import typed
from rayseg.errors import ConfigError, Problem

__all__ = ["NUMBERS", "made_with_norms"]

#: What a ``norm_cfg`` may say here.
NUMBERS = ("eps", "momentum")


def made_with_norms(target: Callable[..., nn.Module], numbers: Mapping[str, Any], *given: Any, **own: Any) -> nn.Module:
    """A module whose batch norms have these numbers.

    Args:
        target: makes the module.
        numbers: ``eps``, added to the variance, and ``momentum``, the weight of the new statistics in the running ones.
        given: for ``target``.
        own: for ``target``.

    Raises:
        ConfigError: a number that cannot be, or no batch norm that it could be for.

    Example:
        >>> made_with_norms(nn.BatchNorm2d, {"eps": 0.001}, 4).eps
        0.001
        >>> made_with_norms(nn.ReLU, {"eps": 0.001})
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 1 problem in experiment config
          norm_cfg: there is no batch norm in it; remove it
    """
    problems = []
    for name, value in numbers.items():
        fault = typed(value, float)[1]
        if fault is None and not (value > 0 and (name == "eps" or value <= 1)):
            fault = f"must be above 0{' and at most 1' if name == 'momentum' else ''}, got {value}"
        problems += [Problem(f"norm_cfg.{name}", fault)] if fault is not None else []
    if problems:
        raise ConfigError(problems)
    module = target(*given, **own)
    norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    if not norms:
        raise ConfigError([Problem("norm_cfg", "there is no batch norm in it; remove it")])
    for norm in norms:
        for name, value in numbers.items():
            setattr(norm, name, float(value))
    return module
