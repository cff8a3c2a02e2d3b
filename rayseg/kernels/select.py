"""The k-th largest of many numbers, over all workers, exactly and without a sort.

A float that is not negative is ordered like its bits. So the number is found digit by digit, eleven bits at a time from the
top: count how often each digit occurs among the values that share the digits found so far, sum the counts over workers, and
take the digit in which the k-th falls. Three passes for float32, six for float64. Nothing is read back by the host, and the
only traffic between workers is one histogram of 2048 integers per pass, which every worker sees alike.

Letters: M values on this worker.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rayseg.kernels import gpu, native
from rayseg.kernels.histogram import histogram

__all__ = ["kth_largest"]

_DIGIT_BITS = 11
_NUM_DIGITS = 1 << _DIGIT_BITS
_PIECE = 1 << 16


def _identity(counts: Tensor) -> Tensor:
    return counts


def _digit_counts(bits: Tensor, place: int, found: Tensor | None) -> Tensor:
    """How often each digit ``(2048,)`` occurs at a place among the values whose higher digits are those ``found`` so far.

    The bits ``(M,)`` of a float without its sign, which turns -0.0 into 0.0, are ordered like it. On a CPU a piece at a time,
    so that what comes in between stays in a cache.
    """
    quick = {"cpu": native.digit_counts, "cuda": gpu.digit_counts}.get(bits.device.type)
    if quick is not None and (counted := quick(bits, place, found)) is not None:
        return counted
    counts = torch.zeros(_NUM_DIGITS + 1, dtype=torch.int64, device=bits.device)
    for piece in torch.split(bits, _PIECE if bits.device.type == "cpu" else max(1, len(bits))):
        positive = piece & torch.iinfo(piece.dtype).max
        digits = (positive >> place * _DIGIT_BITS) & (_NUM_DIGITS - 1)
        if found is not None:
            digits = digits.where(positive >> (place + 1) * _DIGIT_BITS == found, _NUM_DIGITS)
        counts += histogram(digits.to(torch.int64), _NUM_DIGITS + 1)
    return counts[:_NUM_DIGITS]


def _find_digit(counts: Tensor, rank: Tensor) -> tuple[Tensor, Tensor]:
    """The digit of the value of this rank (1 is the largest; -1 if there are fewer values), and its rank within the digit."""
    reached = counts.flip(0).cumsum(0) >= rank
    digit = reached.sum() - 1
    larger = counts * (torch.arange(_NUM_DIGITS, device=counts.device) > digit)
    return digit, rank - larger.sum()


def kth_largest(values: Tensor, k: Tensor, *, reduce: Callable[[Tensor], Tensor] = _identity) -> Tensor:
    """The k-th largest value over all workers: ``sort(values, descending)[k - 1]``, exactly.

    A collective when ``reduce`` is one: three calls for float32 (and bfloat16, float16, which are cast to it), six for float64,
    whatever the values are.

    Args:
        values: ``(M,)`` floats, not negative; may be empty, may hold infinity.
        k: ``()`` int64 on the device of the values, from 1; the same on all workers.
        reduce: sums an int64 histogram ``(2048,)`` over workers.

    Returns:
        ``()`` of the values' dtype (float32 for the half precisions); 0.0 when there are fewer than k values.

    Example:
        >>> kth_largest(torch.tensor([0.5, 2.0, 1.0]), torch.tensor(2))
        tensor(1.)
    """
    values = values.detach().to(torch.promote_types(values.dtype, torch.float32)).contiguous()
    bits = values.view(torch.int64 if values.dtype == torch.float64 else torch.int32)
    found: Tensor | None = None
    rank = k
    for place in reversed(range(-(-8 * bits.element_size() // _DIGIT_BITS))):
        digit, rank = _find_digit(reduce(_digit_counts(bits, place, found)), rank)
        found = digit if found is None else (found << _DIGIT_BITS) | digit
    assert found is not None
    return found.clamp(min=0).to(bits.dtype).view(values.dtype)
