"""Ways to compute the same step: which of them the config leaves open, and what those that it names do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from rayseg.build.resolve import Problems, Resolved, takes
from rayseg.config import ExperimentConfig, flatten
from rayseg.errors import ConfigError, Problem

__all__ = [
    "PLAIN",
    "check_fused",
    "fused_arguments",
    "has_fused",
    "in_memory_format",
    "open_choices",
    "require_decided",
    "without_choices",
]

#: What ``auto`` chooses about -> the value that changes nothing.
PLAIN: Mapping[str, Any] = MappingProxyType(
    {
        "train.speed.memory_format": "contiguous",
        "train.precision": "fp32",
        "train.speed.fused_optimizer": False,
        "train.speed.compile": False,
    }
)


def open_choices(config: ExperimentConfig) -> list[str]:
    """Keys that are ``auto``, in the order in which they are decided.

    Example:
        >>> open_choices(ExperimentConfig().with_({"train.speed.compile": "auto"}))
        ['train.speed.compile']
    """
    leaves = flatten(config)
    return [key for key in PLAIN if leaves[key] == "auto"]


def without_choices(config: ExperimentConfig) -> ExperimentConfig:
    """The config with everything that is ``auto`` at the value that changes nothing: any choice can be run if this can."""
    keys = open_choices(config)
    return config.with_({key: PLAIN[key] for key in keys}) if keys else config


def require_decided(config: ExperimentConfig) -> None:
    """Refuse to build what is still to be chosen.

    Raises:
        ConfigError: something is ``auto``.
    """
    message = (
        "auto is decided by rayseg.train and rayseg.sweep before they start; to build from a config yourself, write one of "
    )
    if keys := open_choices(config):
        raise ConfigError([Problem(key, f"{message}its values") for key in keys])


def in_memory_format(model: nn.Module, config: ExperimentConfig) -> nn.Module:
    """The network with its weights in the order that the config asks for; images and features follow the weights."""
    if config.train.speed.memory_format == "channels_last":
        return model.to(memory_format=torch.channels_last)
    return model


def fused_arguments(config: ExperimentConfig, optimizer: Resolved) -> dict[str, Any]:
    """Of the optimizer, besides those under ``optim``."""
    return {"fused": True} if config.train.speed.fused_optimizer is True and has_fused(optimizer) else {}


def has_fused(optimizer: Resolved) -> bool:
    """Whether the optimizer has an argument ``fused`` that the config does not give."""
    return takes(optimizer.target, "fused") and not {"fused", "foreach"} & optimizer.kwargs.keys()


def check_fused(config: ExperimentConfig, optimizer: Resolved, problems: Problems) -> None:
    """An optimizer that has no such option, or is told of it twice."""
    path, written = "train.speed.fused_optimizer", config.train.speed.fused_optimizer
    if written is True and not takes(optimizer.target, "fused"):
        problems.add(path, f"true, but {config.optim.type!r} has no argument 'fused'; write false or auto")
    if written is True and ({"fused", "foreach"} & optimizer.kwargs.keys()):
        problems.add(path, f"true, and optim says it too ({', '.join(optimizer.kwargs)}); remove one of the two")
