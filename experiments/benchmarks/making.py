"""What torch's operations make: counted, not measured, so it is exact, and the same on every machine.

What compiled code makes for itself is not seen: the C++ of ``rayseg/kernels`` holds some rows at a time, and that of
``torch.compile`` what it did not join.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Made"]


class Made(TorchDispatchMode):
    """Counts new tensors meanwhile, forward and backward; views and what is written in place are not new.

    Args:
        large: elements from which on a tensor counts as large.

    Example:
        >>> import torch
        >>> values = torch.zeros(2, 3)
        >>> with Made(large=6) as made:
        ...     twice = (values + values).mul_(2).view(6)[:2] + 1
        >>> made.bytes, made.large
        (32, 1)
    """

    def __init__(self, large: int) -> None:
        super().__init__()
        self.bytes, self.large, self._from = 0, 0, large

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One operation."""
        del types
        found = function(*args, **(kwargs or {}))
        places = {_place(each) for each in _tensors((args, kwargs))}
        for each in _tensors(found):
            if _place(each) not in places:
                self.bytes += each.untyped_storage().nbytes()
                self.large += each.numel() >= self._from
        return found


def made_by(run: Callable[[], object], large: int) -> dict[str, int]:
    """Columns of a row: bytes of all new tensors, and how many of them are large."""
    with Made(large) as made:
        run()
    return {"made_bytes": made.bytes, "tensors of full size": made.large}


def _tensors(values: Any) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
