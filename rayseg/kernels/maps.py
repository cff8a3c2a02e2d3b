"""Sums over maps of pixels of which some count, and what goes back through them; in C++ where a backend in C++ is in use.

The maps are as large as the labels, and there is little to compute, so what counts is how often they are read and written. What
is computed in C++ is what torch computes, to the bit but for the order of a sum in float64.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from rayseg.kernels.native import library_in_use, pointer

__all__ = ["count", "scaled", "sum_of_products", "where_below", "zero_unless_"]


def _library_for(*maps: Tensor) -> Any | None:
    """The library, if it takes these maps, which are of one shape."""
    fits = all(
        each.device.type == "cpu"
        and each.is_contiguous()
        and each.dtype in {torch.float32, torch.bool}
        and each.shape == maps[0].shape
        for each in maps
    )
    return library_in_use() if fits else None


def sum_of_products(values: Tensor, weights: Tensor) -> Tensor:
    """``(values * weights).sum()``; NaN times 0 stays NaN.

    Args:
        values: ``(N, H, W)`` floating point.
        weights: ``(N, H, W)``, bool or floating point.

    Example:
        >>> sum_of_products(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([True, False, True]))
        tensor(5.)
    """
    if weights.dtype == torch.bool and values.dtype == torch.float32 and (library := _library_for(values, weights)) is not None:
        library.rayseg_sum_of_products.restype = ctypes.c_double
        total = library.rayseg_sum_of_products(pointer(values), pointer(weights), ctypes.c_int64(values.numel()))
        return values.new_tensor(total)
    products = weights.to(values.dtype, copy=True).mul_(values)
    return products.sum(dtype=torch.float64).to(values.dtype) if values.device.type == "cpu" else products.sum()


def scaled(weights: Tensor, factor: Tensor) -> Tensor:
    """``weights * factor``.

    Args:
        weights: ``(N, H, W)``, bool or floating point.
        factor: ``()`` floating point.

    Example:
        >>> scaled(torch.tensor([True, False]), torch.tensor(0.5))
        tensor([0.5000, 0.0000])
    """
    library = _library_for(weights)
    if library is None or weights.dtype != torch.bool or factor.dtype != torch.float32 or factor.ndim > 0:
        return weights.to(factor.dtype, copy=True).mul_(factor)
    products = factor.new_empty(weights.shape)
    size = ctypes.c_int64(weights.numel())
    library.rayseg_scaled(pointer(weights), ctypes.c_float(factor.item()), size, pointer(products))
    return products


def where_below(values: Tensor, bound: Tensor, valid: Tensor) -> Tensor:
    """1 where a value is below the bound and valid, 0 elsewhere; may be written into the values.

    Args:
        values: ``(N, H, W)`` floating point, without a gradient; whoever calls this needs them no more.
        bound: ``()``.
        valid: ``(N, H, W)`` bool.

    Example:
        >>> where_below(torch.tensor([0.1, 0.2, 0.9]), torch.tensor(0.5), torch.tensor([True, False, True]))
        tensor([1., 0., 0.])
    """
    library = _library_for(values, valid)
    if library is None or values.dtype != torch.float32 or valid.dtype != torch.bool or bound.ndim > 0:
        return ((values < bound) & valid).to(values.dtype)
    library.rayseg_below(pointer(values), pointer(valid), ctypes.c_float(bound.item()), ctypes.c_int64(values.numel()))
    return values


def count(weights: Tensor) -> Tensor:
    """How many of ``(N, H, W)`` bool are True, ``()`` int64.

    Example:
        >>> count(torch.tensor([True, False, True]))
        tensor(2)
    """
    library = _library_for(weights)
    if library is None or weights.dtype != torch.bool:
        return weights.sum()
    library.rayseg_count.restype = ctypes.c_int64
    return torch.tensor(library.rayseg_count(pointer(weights), ctypes.c_int64(weights.numel())))


def zero_unless_(values: Tensor, valid: Tensor) -> Tensor:
    """The values, which become 0 where not valid.

    Args:
        values: ``(N, H, W)`` floating point, without a gradient; written into.
        valid: ``(N, H, W)`` bool.

    Example:
        >>> zero_unless_(torch.tensor([0.1, 0.2]), torch.tensor([True, False]))
        tensor([0.1000, 0.0000])
    """
    library = _library_for(values, valid)
    if library is None or values.dtype != torch.float32 or valid.dtype != torch.bool:
        return values.masked_fill_(~valid, 0)
    library.rayseg_zero_unless(pointer(values), pointer(valid), ctypes.c_int64(values.numel()))
    return values
