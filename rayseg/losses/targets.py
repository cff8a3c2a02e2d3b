"""Edge maps as the target of a head of its own: made of the labels on the device, 1 where there is an edge, 0 elsewhere.

Pixels without a label are ignored in the target too. The label that is ignored must be neither 0 nor 1, since these are the
target's: a head for such data needs an ``ignore_index`` of its own.

Letters: N images, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.errors import ConfigError, Problem

__all__ = ["TARGETS", "boundaries", "stdc_detail"]

#: Weights of the edges at strides 1, 2 and 4, in tenths.
_FUSION = {1: 6, 2: 3, 4: 1}


def _check(where: str, ignore_index: int, wrong: dict[str, str | None]) -> None:
    if ignore_index in {0, 1}:
        wrong = {
            "ignore_index": f"is {ignore_index}, which the edge map needs for its own; "
            "give the head another one, such as ignore_index: 255",
            **wrong,
        }
    if problems := [Problem(path, message) for path, message in wrong.items() if message]:
        raise ConfigError(problems, where)


def _box_sum(values: Tensor, outside: int) -> Tensor:
    """Sum over the 3 x 3 pixels around each, of ``(N, H, W)``."""
    padded = F.pad(values, (1, 1, 1, 1), value=outside)
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]


def _laplacian(labels: Tensor, known: Tensor, *, outside: int) -> Tensor:
    """By how much a label exceeds its neighbours', summed over the 8 that are known; 0 where it is not known itself."""
    known = known.long()
    return (labels * _box_sum(known, outside) - _box_sum(labels * known, 0)) * known


def stdc_detail(masks: Tensor, *, ignore_index: int, threshold: float = 0.1, raw_labels: bool = False) -> Tensor:
    """The detail map of STDC: where the Laplacian of the label numbers is positive at stride 1 or 2.

    Source: Fan et al. 2021, "Rethinking BiSeNet For Real-time Semantic Segmentation", in the form of MMSegmentation. The
    Laplacian (8 at the centre, -1 around it) is taken at strides 1, 2 and 4, made an edge map by ``> threshold`` and enlarged
    by nearest neighbour; 0.6, 0.3 and 0.1 times the three are added and again compared with ``threshold``. So with 0.1 an edge
    that is found at stride 4 only is not kept. An edge lies on the side of the larger label number.

    Args:
        masks: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled.
        threshold: of the edge maps, from 0 to below 1.
        raw_labels: the source's way: what is not labelled is a label like others (255, mostly), and what is outside the image
            has label 0, so that both make edges, and no pixel is ignored. Otherwise they make no edges, and pixels without a
            label are ignored.

    Returns:
        ``(N, H, W)`` int64: 1 at edges, 0 elsewhere, ``ignore_index`` where ignored.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> stdc_detail(torch.tensor([[[3, 3, 7, 7, 255]]]), ignore_index=255)
        tensor([[[  0,   0,   1,   1, 255]]])
        >>> stdc_detail(torch.tensor([[[3, 3, 7, 7, 255]]]), ignore_index=255, raw_labels=True)
        tensor([[[1, 1, 1, 1, 1]]])
    """
    wrong = None if 0 <= threshold < 1 else f"must be from 0 to below 1, got {threshold!r}"
    _check("stdc_detail", ignore_index, {"threshold": wrong})
    valid = torch.ones_like(masks, dtype=torch.bool) if raw_labels else masks != ignore_index
    steps = _laplacian(masks.where(valid, 0), valid, outside=int(raw_labels))
    edges = (steps > threshold).float()
    size = masks.shape[1:]
    fused = torch.stack(
        [
            tenths * F.interpolate(edges[:, None, ::stride, ::stride], size=size, mode="nearest")[:, 0]
            for stride, tenths in _FUSION.items()
        ]
    ).sum(0)
    return (fused > 10 * threshold).long().masked_fill(~valid, ignore_index)


def _window_max(values: Tensor, width: int) -> Tensor:
    """Largest of the ``(N, H, W)`` within ``width`` rows and columns."""
    pooled: Tensor = F.max_pool2d(values[:, None], 2 * width + 1, stride=1, padding=width)
    return pooled[:, 0]


def boundaries(masks: Tensor, *, ignore_index: int, width: int = 1) -> Tensor:
    """Pixels near another label: 1 if a labelled pixel of another class is within ``width`` rows and columns.

    Unlike :func:`stdc_detail` it marks both sides of an edge, whatever the label numbers are. Neither pixels without a label
    nor the border of the image make edges.

    Args:
        masks: ``(N, H, W)`` int64 labels.
        ignore_index: label that means: not labelled.
        width: px on each side of a change, 1 or more.

    Returns:
        ``(N, H, W)`` int64: 1 at edges, 0 elsewhere, ``ignore_index`` where ignored.

    Raises:
        ConfigError: an argument has no meaning.

    Example:
        >>> boundaries(torch.tensor([[[3, 3, 7, 7, 255]]]), ignore_index=255)
        tensor([[[  0,   1,   1,   0, 255]]])
    """
    _check("boundaries", ignore_index, {"width": None if width >= 1 else f"must be at least 1, got {width!r}"})
    valid = masks != ignore_index
    labels = masks.where(valid, 0).float()
    largest = _window_max(labels.masked_fill(~valid, -torch.inf), width)
    smallest = -_window_max((-labels).masked_fill(~valid, -torch.inf), width)
    return (largest > smallest).long().masked_fill(~valid, ignore_index)


#: Targets of heads by the name that a config uses: ``(masks, *, ignore_index, **own) -> masks``.
TARGETS: Mapping[str, Callable[..., Tensor]] = MappingProxyType({"boundaries": boundaries, "stdc_detail": stdc_detail})
