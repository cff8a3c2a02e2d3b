"""Where the kernels for GPUs look for logits: torch's places, as ratios of integers."""

from __future__ import annotations

from fractions import Fraction

import torch
from hypothesis import given
from hypothesis import strategies as st

from rayseg.kernels.gpu import Axis


@given(logits=st.integers(1, 20), pixels=st.integers(1, 40), align_corners=st.booleans())
def test_a_pixel_lies_where_torch_has_it(logits: int, pixels: int, align_corners: bool) -> None:
    axis = Axis.between(logits, pixels, align_corners)
    for x in range(pixels):
        place = Fraction(axis.step * x + axis.shift, axis.whole)
        if align_corners:
            assert place == (Fraction(x * (logits - 1), pixels - 1) if logits > 1 and pixels > 1 else Fraction(x, pixels))
        else:
            assert place == Fraction(2 * x + 1, 2) * Fraction(logits, pixels) - Fraction(1, 2)
        assert axis.first_cell <= place < logits  # so that it is in one of the cells


@given(logits=st.integers(1, 20), pixels=st.integers(1, 40), align_corners=st.booleans())
def test_every_pixel_is_in_one_cell_and_no_cell_has_more_than_the_most(logits: int, pixels: int, align_corners: bool) -> None:
    axis = Axis.between(logits, pixels, align_corners)
    cells = range(axis.first_cell, logits)
    assert len(cells) == axis.cells
    first = [max(0, -(-(axis.whole * cell - axis.shift) // axis.step)) for cell in (*cells, logits)]
    assert first[0] == 0
    assert first[-1] >= pixels
    sizes = torch.tensor(first).clamp(max=pixels).diff()
    assert sizes.sum() == pixels
    assert sizes.max() <= axis.extent
