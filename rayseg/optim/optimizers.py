"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch.optim import Optimizer

__all__ = ["OPTIMIZERS", "refused_optimizer", "resolve_optimizer"]

#: Optimizers by the name that a config uses: ``(groups, **kwargs) -> Optimizer``.
OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = MappingProxyType(
    {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
)

#: Optimizers of torch that cannot take the steps of the loop, and why.
_REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "lbfgs": "computes the loss several times in one step, and takes one group of parameters only",
        "sparseadam": "takes sparse gradients only, and those of a segmentation model are dense",
    }
)


def refused_optimizer(name: str) -> str | None:
    """Why an optimizer of ``torch.optim`` cannot be used here; None for any other name.

    Example:
        >>> refused_optimizer("LBFGS")
        'computes the loss several times in one step, and takes one group of parameters only'
    """
    return _REFUSED.get(name.lower())


def resolve_optimizer(name: str) -> Callable[..., Optimizer] | None:
    """The optimizer of this name, in any case: one of ``OPTIMIZERS``, or any class of ``torch.optim``.

    Those that :func:`refused_optimizer` names are left out.

    Args:
        name: such as ``sgd`` or ``NAdam``.

    Returns:
        ``(groups, **kwargs) -> Optimizer``, or None when there is none of this name.

    Example:
        >>> resolve_optimizer("nadam").__name__
        'NAdam'
        >>> resolve_optimizer("lion") is None
        True
    """
    wanted = name.lower()
    if wanted in OPTIMIZERS:
        return OPTIMIZERS[wanted]
    classes = (value for value in vars(torch.optim).values() if isinstance(value, type) and issubclass(value, Optimizer))
    known = {candidate.__name__.lower(): candidate for candidate in classes}
    return None if wanted == "optimizer" or wanted in _REFUSED else known.get(wanted)
