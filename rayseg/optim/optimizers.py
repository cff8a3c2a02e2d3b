"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch.optim import Optimizer

__all__ = ["OPTIMIZERS", "resolve_optimizer"]

#: Optimizers by the name that a config uses: ``(groups, **kwargs) -> Optimizer``.
OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = MappingProxyType(
    {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
)


def resolve_optimizer(name: str) -> Callable[..., Optimizer] | None:
    """The optimizer of this name, in any case: one of ``OPTIMIZERS``, or any class of ``torch.optim``.

    LBFGS is left out: it needs a closure and takes one group only.

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
    return None if wanted in {"optimizer", "lbfgs"} else known.get(wanted)
