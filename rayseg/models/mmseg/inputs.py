"""What a head takes of a backbone's features: MMSegmentation's ``in_index``, ``in_channels`` and ``input_transform``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rayseg.errors import ConfigError, Problem
from rayseg.models.mmseg.conv import resize
from rayseg.models.mmseg.feature import picked

__all__ = ["OneInput", "SeveralInputs"]


class OneInput:
    """Features to the one input of a head: one of them, or with ``resize_concat`` several as one.

    Several are brought to the size of the first by bilinear interpolation, and their channels stand beside each other.

    Args:
        feature_channels: of every feature of the backbone.
        in_index: which feature; a list of some with ``resize_concat``.
        in_channels: of the feature, or a list of as many; checked where it is given.
        input_transform: None or ``resize_concat``.
        align_corners: of the interpolation.

    Attributes:
        channels: that come in.

    Raises:
        ConfigError: no such feature, another number of channels, or a list without the transform.

    Example:
        >>> take = OneInput((8, 16), (0, 1), None, "resize_concat")
        >>> take.channels, take([torch.zeros(1, 8, 6, 6), torch.zeros(1, 16, 3, 3)]).shape
        (24, torch.Size([1, 24, 6, 6]))
        >>> OneInput((8, 16), (0, 1), None, None)
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 1 problem in experiment config
          in_index: got (0, 1) without an input_transform; give one index, or write input_transform: resize_concat
    """

    def __init__(
        self,
        feature_channels: Sequence[int],
        in_index: int | Sequence[int],
        in_channels: int | Sequence[int] | None,
        input_transform: str | None,
        *,
        align_corners: bool = False,
    ) -> None:
        self.indices, self.align_corners = in_index, align_corners
        if input_transform is None:
            self.channels = picked(feature_channels, *_single(in_index, in_channels))
        else:
            self.channels = sum(SeveralInputs(feature_channels, in_index, in_channels).channels)

    def __call__(self, features: Sequence[Tensor]) -> Tensor:
        """``(N, channels, h, w)``."""
        if isinstance(self.indices, int):
            return features[self.indices]
        first, *others = (features[index] for index in self.indices)
        resized = (resize(each, first.shape[-2:], align_corners=self.align_corners) for each in others)
        return torch.cat([first, *resized], dim=1)


class SeveralInputs:
    """Features to the inputs of a head that takes several, ``multiple_select``.

    Args:
        feature_channels: of every feature of the backbone.
        in_index: which features, in which order; None: all of them.
        in_channels: of these, checked where they are given.

    Attributes:
        channels: of each input.

    Raises:
        ConfigError: no such feature, other numbers of channels, or one number instead of a list.

    Example:
        >>> SeveralInputs((8, 16, 32), (2, 0), (32, 8)).channels
        (32, 8)
        >>> SeveralInputs((8, 16, 32), (0, 3), (16, 32, 64))
        Traceback (most recent call last):
        rayseg.errors.ConfigError: 2 problems in experiment config
          in_channels: got 3 values, expected 2, one for each of in_index; leave it out
          in_index: got 3, and the backbone gives 3 features, counted from 0
    """

    def __init__(
        self,
        feature_channels: Sequence[int],
        in_index: int | Sequence[int] | None,
        in_channels: int | Sequence[int] | None,
    ) -> None:
        indices = range(len(feature_channels)) if in_index is None else in_index
        problems = [*_list_faults("in_index", indices), *_list_faults("in_channels", in_channels)]
        if isinstance(indices, int) or isinstance(in_channels, int) or problems:
            raise ConfigError(problems)
        written: Sequence[int | None] = [None] * len(indices) if in_channels is None else in_channels
        if len(written) != len(indices):
            message = f"got {len(written)} values, expected {len(indices)}, one for each of in_index; leave it out"
            problems.append(Problem("in_channels", message))
            written = [None] * len(indices)
        channels = []
        for index, value in zip(indices, written, strict=True):
            try:
                channels.append(picked(feature_channels, index, value))
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        self.indices, self.channels = tuple(indices), tuple(channels)

    def __call__(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Each ``(N, channels[i], h_i, w_i)``."""
        return [features[index] for index in self.indices]


def _single(in_index: int | Sequence[int], in_channels: int | Sequence[int] | None) -> tuple[int, int | None]:
    remedy = "without an input_transform; give one index, or write input_transform: resize_concat"
    problems = []
    if not isinstance(in_index, int):
        problems.append(Problem("in_index", f"got {in_index} {remedy}"))
    elif not isinstance(in_channels, int | None):
        problems.append(Problem("in_channels", f"got {in_channels} for one index; leave it out"))
    else:
        return in_index, in_channels
    raise ConfigError(problems)


def _list_faults(name: str, value: int | Sequence[int] | None) -> list[Problem]:
    if isinstance(value, int):
        return [Problem(name, f"got {value}, expected a list: several features are taken; write [{value}] for one alone")]
    return [] if value is None or len(value) > 0 else [Problem(name, "is empty; give one feature at least")]
