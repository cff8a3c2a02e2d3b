"""Memory of batches that nobody holds any more, for the next ones: new memory costs about as much as writing into it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Memory"]

#: Blocks that are kept; where sizes vary, the oldest make room.
_AT_MOST = 8


@dataclass(frozen=True)
class Memory:
    """Tensors in memory that is used again once the last tensor, view or array in it is gone.

    Args:
        free: blocks that are not in use.

    Example:
        >>> memory = Memory()
        >>> first = memory.empty((2, 3), torch.float32)
        >>> place, view = first.data_ptr(), first[1:]
        >>> del first
        >>> len(memory.free)
        0
        >>> del view
        >>> memory.empty((6,), torch.float32).data_ptr() == place
        True
    """

    free: list[NDArray[np.uint8]] = field(default_factory=list)

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """What ``torch.empty`` gives, on the CPU."""
        size = math.prod(shape) * dtype.itemsize
        block = self._taken(size)
        lent = block.view()
        weakref.finalize(lent, _taken_back, self.free, block).atexit = False
        return torch.from_numpy(lent).view(dtype).view(*shape)

    def _taken(self, size: int) -> NDArray[np.uint8]:
        """A block of so many bytes. A thread that sends batches may give some back meanwhile: then they move."""
        found = next((place for place, block in enumerate(self.free) if block.nbytes == size), None)
        with suppress(IndexError):
            if found is not None and (block := self.free.pop(found)).nbytes == size:
                return block
        return np.empty(size, np.uint8)


def _taken_back(free: list[NDArray[np.uint8]], block: NDArray[np.uint8]) -> None:
    free.append(block)
    del free[:-_AT_MOST]
