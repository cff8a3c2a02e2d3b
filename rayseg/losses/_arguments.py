"""Complaints about the arguments of a loss, and the forms that arguments and targets come in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.errors import ConfigError, Problem, ShapeError

__all__ = ["class_shares", "negative_at_label", "per_class", "require"]


def negative_at_label(log_probs: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """Minus the log-probability of each pixel's label, ``(N, H, W)``, 0 where ignored.

    torch's ``nll_loss`` is refused on GPUs in deterministic mode; gather is not.
    """
    valid = target != ignore_index
    return (-log_probs.gather(1, target.where(valid, 0)[:, None])[:, 0]).masked_fill(~valid, 0)


def require(where: str, name: str, ok: bool, expected: str, got: object) -> None:
    """Raise a ConfigError about one argument unless it is as expected."""
    if not ok:
        raise ConfigError([Problem(name, f"must be {expected}, got {got!r}")], where)


def per_class(values: Sequence[float], like: Tensor, where: str, name: str) -> Tensor:
    """Numbers ``(C,)`` in the dtype of ``like``, one for each of the channels ``(N, C, H, W)`` that it has.

    They are filled in where they are: to copy them there the host would wait for a GPU.
    """
    if len(values) != like.shape[1]:
        message = f"{len(values)} numbers for {like.shape[1]} classes; give one for each"
        raise ConfigError([Problem(name, message)], where)
    require(where, name, min(values) >= 0, "numbers from 0 on", list(values))
    return torch.stack([like.new_full((), value) for value in values])


def class_shares(target: Tensor, like: Tensor, ignore_index: int, where: str) -> Tensor:
    """The share of each class ``(N, C, H, W)`` in the shape of ``like``: the one-hot form of labels, or a soft target as it is.

    Nothing belongs to any class where labels are ignored. A soft target of one channel is the share of class 1.
    """
    if target.ndim == 3:
        valid = target != ignore_index
        label = target.where(valid, 0)
        if like.shape[1] == 1:
            return (label * valid).to(like.dtype)[:, None]
        return F.one_hot(label, like.shape[1]).movedim(-1, 1) * valid[:, None].to(like.dtype)
    if target.shape[1] == 1 and like.shape[1] == 2:
        target = torch.cat([1 - target, target], dim=1)
    if target.shape != like.shape:
        raise ShapeError(f"{where}: the target is {tuple(target.shape)}; expected labels (N, H, W), or {tuple(like.shape)}")
    return target.to(like.dtype)
