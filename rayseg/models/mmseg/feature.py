"""Which features of a backbone a head takes."""

from __future__ import annotations

from collections.abc import Sequence

from rayseg.errors import ConfigError, Problem

__all__ = ["picked", "require"]


def picked(feature_channels: Sequence[int], in_index: int, in_channels: int | None, name: str = "in_channels") -> int:
    """Channels of the feature that a head takes.

    Args:
        feature_channels: of every feature of the backbone.
        in_index: which one; negative numbers count from the last.
        in_channels: what the user believes that it has; None: not said.
        name: of that argument, for the error.

    Raises:
        ConfigError: no such feature, or another number of channels.

    Example:
        >>> picked((64, 128, 256), -1, None)
        256
    """
    if not -len(feature_channels) <= in_index < len(feature_channels):
        message = f"got {in_index}, and the backbone gives {len(feature_channels)} features, counted from 0"
        raise ConfigError([Problem("in_index", message)])
    found = feature_channels[in_index]
    if in_channels is not None and in_channels != found:
        message = f"got {in_channels}, and feature {in_index} has {found} channels ({_listed(feature_channels)}); leave it out"
        raise ConfigError([Problem(name, message)])
    return found


def _listed(feature_channels: Sequence[int]) -> str:
    return ", ".join(f"{index}: {channels}" for index, channels in enumerate(feature_channels))


def require(*, dropout_ratio: float = 0.0, **at_least_one: int | Sequence[int]) -> None:
    """What numbers of a head can be.

    Args:
        dropout_ratio: from 0 to below 1.
        **at_least_one: whole numbers, or lists of some with one at least.

    Raises:
        ConfigError: with every number that cannot be.

    Example:
        >>> require(channels=0, pool_scales=[])
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 2 problems in experiment config
          channels: must be at least 1, got 0
          pool_scales: must be at least 1, got []
    """
    problems = []
    for name, value in at_least_one.items():
        numbers = [value] if isinstance(value, int) else list(value)
        if not numbers or any(number < 1 for number in numbers):
            problems.append(Problem(name, f"must be at least 1, got {value}"))
    if not 0 <= dropout_ratio < 1:
        problems.append(Problem("dropout_ratio", f"must be at least 0 and below 1, got {dropout_ratio}"))
    if problems:
        raise ConfigError(problems)
