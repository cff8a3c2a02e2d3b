"""Many tensors copied at once: a GPU that gets them one by one waits for the host between them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["copy_all"]


@torch.no_grad()
def copy_all(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Copy the second of each pair into the first; a call for each dtype, as only equal ones go together on a GPU.

    Args:
        pairs: of the same shape and dtype.

    Example:
        >>> mine, theirs = torch.zeros(2), torch.ones(2)
        >>> copy_all([(mine, theirs)])
        >>> mine
        tensor([1., 1.])
    """
    by_dtype: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for target, source in pairs:
        targets, sources = by_dtype.setdefault(target.dtype, ([], []))
        targets.append(target)
        sources.append(source)
    for targets, sources in by_dtype.values():
        torch._foreach_copy_(targets, sources)
