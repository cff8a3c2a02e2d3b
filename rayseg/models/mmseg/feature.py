"""Which features a backbone gives and a head takes, and what their numbers can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rayseg.errors import ConfigError, Problem

__all__ = ["divisible", "list_faults", "out_faults", "picked", "require"]


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


def divisible(channels: float, by: int = 8) -> int:
    """The multiple that is nearest to a number of channels, no less than 0.9 of it and no less than ``by``.

    Source: MobileNetV2 (Sandler et al., 2018), their own code.

    Example:
        >>> divisible(32 * 0.5), divisible(11), divisible(12), divisible(3)
        (16, 16, 16, 8)
    """
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest + by if nearest < 0.9 * channels else nearest


def list_faults(count: int, of: str, lists: Mapping[str, tuple[Sequence[int], Sequence[int] | None]]) -> list[Problem]:
    """What is wrong with lists of one number for each layer.

    Args:
        count: how many there must be.
        of: what there is one for.
        lists: name -> numbers, and those that may be in it; None: any from 1.

    Example:
        >>> for fault in list_faults(2, "stage", {"strides": ((1, 3), (1, 2)), "dilations": ((1, 0, 1), None)}):
        ...     print(fault)
        strides: must be 1 or 2, got (1, 3)
        dilations: got 3 values, expected 2, one for each stage
        dilations: must be at least 1, got (1, 0, 1)
    """
    faults = []
    for name, (values, allowed) in lists.items():
        if len(values) != count:
            faults.append(Problem(name, f"got {len(values)} values, expected {count}, one for each {of}"))
        if allowed is None and any(value < 1 for value in values):
            faults.append(Problem(name, f"must be at least 1, got {values}"))
        if allowed is not None and not set(values) <= set(allowed):
            faults.append(Problem(name, f"must be {' or '.join(map(str, allowed))}, got {values}"))
    return faults


def out_faults(out_indices: Sequence[int], count: int, what: str = "layers") -> list[Problem]:
    """What is wrong with the layers that give features: ascending, each once, and none behind them that nobody sees.

    Example:
        >>> print(*out_faults((0, 1), 3))
        out_indices: layers after 1 would not be used; add 2, the last one
    """
    if not out_indices or list(out_indices) != sorted(set(out_indices)) or not set(out_indices) <= set(range(count)):
        message = f"got {list(out_indices)}, expected {what} from 0 to {count - 1}, ascending, each once"
        return [Problem("out_indices", message)]
    if out_indices[-1] < count - 1:
        message = f"{what} after {out_indices[-1]} would not be used; add {count - 1}, the last one"
        return [Problem("out_indices", message)]
    return []
