"""The statistics of upsampled logits in C++ on a CPU (``csrc/statistics.cpp``)."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels.compiler import compiled_library
from rayseg.kernels.statistics import Gradients, Inputs, Raw

__all__ = ["Native", "compiled_backend", "digit_counts", "geometry_of", "library_in_use", "pointer", "require_fine"]

_SOURCE = Path(__file__).parent / "csrc" / "statistics.cpp"
_NO_CLASS, _NO_MEMORY = 1, 2


class _Geometry(ctypes.Structure):
    """``Geometry`` of ``csrc/tiles.h``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("images", "classes", "height_in", "width_in", "height", "width", "ignore_index")),
        *((name, ctypes.c_int32) for name in ("align_corners", "threads")),
    )


def geometry_of(inputs: Inputs) -> _Geometry:
    """Sizes and settings, for C++; pass it by reference."""
    sizes = (*inputs.logits.shape, *inputs.target.shape[1:], inputs.ignore_index)
    return _Geometry(*sizes, inputs.align_corners, torch.get_num_threads())


def pointer(values: Tensor | None) -> ctypes.c_void_p:
    """Where the values of a contiguous tensor lie; null for None."""
    return ctypes.c_void_p(None if values is None else values.data_ptr())


def require_fine(status: int, inputs: Inputs) -> None:
    """Raise what a status of C++ stands for."""
    if status == _NO_CLASS:
        labels = inputs.target[inputs.target != inputs.ignore_index]
        raise ShapeError(
            f"labels are from {int(labels.min())} to {int(labels.max())} and the logits have {inputs.logits.shape[1]} classes; "
            f"expected labels below that, or {inputs.ignore_index} where nothing is labelled"
        )
    if status == _NO_MEMORY:
        raise MemoryError("the kernels found no memory for a few rows of logits")


@dataclass(frozen=True)
class Native:
    """Backend of ``pixel_statistics`` in C++; made by :func:`compiled_backend`.

    Args:
        library: compiled.
        name: what a config calls it.
        device: where it can be used.
    """

    library: Any
    name: str = "fused"
    device: str | None = "cpu"
    reads: frozenset[torch.dtype] = frozenset({torch.float32})

    def forward(self, inputs: Inputs) -> Raw:
        """The statistics."""
        logits, target, wanted = inputs.logits, inputs.target, inputs.wanted
        nll = logits.new_empty(target.shape)
        mean_nll = torch.empty_like(nll) if wanted.mean_nll else None
        sums = logits.new_empty(len(logits), 6, logits.shape[1], dtype=torch.float64) if wanted.sums else None
        outputs = map(pointer, (nll, mean_nll, sums))
        geometry = ctypes.byref(geometry_of(inputs))
        status = self.library.rayseg_forward(geometry, pointer(logits), pointer(target), int(wanted.void), *outputs)
        require_fine(status, inputs)
        return Raw(nll, mean_nll, sums)

    def backward(self, inputs: Inputs, saved: Tensor, gradients: Gradients) -> Tensor:
        """Gradient ``(N, C, h, w)`` at the logits."""
        logits, target = inputs.logits, inputs.target
        gradient = torch.empty_like(logits)
        given = map(pointer, (saved, *gradients, gradient))
        geometry = ctypes.byref(geometry_of(inputs))
        status = self.library.rayseg_backward(geometry, pointer(logits), pointer(target), int(inputs.wanted.void), *given)
        require_fine(status, inputs)
        return gradient

    def cross_entropy(self, inputs: Inputs, class_weight: Tensor, label_smoothing: float) -> tuple[Tensor, Tensor]:
        """Sums ``(2,)`` of weighted cross-entropy and of weights, and the gradient ``(N, C, h, w)`` of the first."""
        logits, smoothing = inputs.logits, ctypes.c_float(label_smoothing)
        sums, gradient = logits.new_empty(2, dtype=torch.float64), torch.empty_like(logits)
        given = (pointer(logits), pointer(inputs.target), pointer(class_weight), smoothing, pointer(sums), pointer(gradient))
        require_fine(self.library.rayseg_cross_entropy(ctypes.byref(geometry_of(inputs)), *given), inputs)
        return sums, gradient


#: The library, once a backend was made of it in this process.
_in_use: list[Any] = []


def library_in_use() -> Any | None:
    """The library of ``csrc/statistics.cpp``; None where no backend was made of it in this process.

    Example:
        >>> compiled_backend() is None or library_in_use() is not None
        True
    """
    return _in_use[0] if _in_use else None


def digit_counts(bits: Tensor, place: int, found: Tensor | None) -> Tensor | None:
    """How often each digit of 11 bits occurs, as ``kth_largest`` counts them; None where no backend in C++ is in use.

    Args:
        bits: ``(M,)`` int32 on the CPU, contiguous; the sign is ignored.
        place: of the digit, from the lowest.
        found: ``()`` the higher digits that a value must have to be counted; None: any.

    Example:
        >>> compiled_backend() is None or digit_counts(torch.tensor([5, 5, 7], dtype=torch.int32), 0, None)[:8]
        tensor([0, 0, 0, 0, 0, 2, 0, 1])
    """
    library = library_in_use()
    if library is None or bits.dtype != torch.int32:
        return None
    counts = torch.empty(1 << 11, dtype=torch.int64)
    library.rayseg_digit_counts(pointer(bits), ctypes.c_int64(len(bits)), place, pointer(found), pointer(counts))
    return counts


def compiled_backend() -> Native | None:
    """The backend in C++, compiled if nobody has done so before; None where that cannot be, which is logged once.

    Example:
        >>> backend = compiled_backend()
        >>> backend is None or backend.name
        'fused'
    """
    library = compiled_library(_SOURCE)
    if library is None:
        return None
    _in_use[:] = [library]
    return Native(library)
