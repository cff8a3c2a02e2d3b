"""How often each digit occurs, in Triton: the kernel. Imported only where it is used, as Triton is."""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["digits"]


@triton.jit
def digits(
    bits: tl.tensor,
    counts: tl.tensor,
    found: tl.tensor,
    size: tl.tensor,
    shift: tl.tensor,
    DIGIT_BITS: tl.constexpr,
    B: tl.constexpr,
    PIECES: tl.constexpr,
) -> None:
    """Adds to ``counts`` the digit that begins at bit ``shift`` of each value whose higher digits are ``found``; None: of all.

    A program counts in registers, and adds integers at the end: what comes first does not matter.
    """
    bins = tl.arange(0, 1 << DIGIT_BITS)
    added = tl.zeros([1 << DIGIT_BITS], tl.int32)
    for piece in range(PIECES):
        place = (tl.program_id(0) * PIECES + piece) * B + tl.arange(0, B)
        positive = tl.load(bits + place, mask=place < size, other=0) & 0x7FFFFFFF
        counts_too = place < size
        if found is not None:
            counts_too = counts_too & ((positive >> (shift + DIGIT_BITS)) == tl.load(found))
        digit = tl.where(counts_too, (positive >> shift) & ((1 << DIGIT_BITS) - 1), 0)
        added += tl.histogram(digit, 1 << DIGIT_BITS)
        added -= tl.where(bins == 0, tl.sum(tl.where(counts_too, 0, 1)), 0)
    tl.atomic_add(counts + bins, added.to(tl.int64), mask=added > 0)
