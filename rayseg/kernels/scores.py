"""The confusion matrix of upsampled logits in Triton: the kernel. Imported only where it is used, as Triton is.

Lanes have cells, as in ``cells.py``.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rayseg.kernels.cells import corners, interpolated, located

__all__ = ["confusion"]


@triton.jit
def confusion(  # noqa: PLR0913, PLR0917  of a kernel
    logits: tl.tensor,
    target: tl.tensor,
    prediction: tl.tensor,
    counts: tl.tensor,
    ignore_index: tl.tensor,
    classes: tl.tensor,
    lines: tl.tensor,
    columns: tl.tensor,
    tiles_down: tl.tensor,
    tiles_across: tl.tensor,
    replicas: tl.tensor,
    P: tl.constexpr,
    Q: tl.constexpr,
    B: tl.constexpr,
) -> None:
    """Adds to one of the ``counts`` ``(replicas, C, C)``, rows truth; writes the classes unless ``prediction`` is None.

    Programs: ``(blocks of cells x tiles across, rows of cells x tiles down, N)``. The class is the first of the largest logits;
    NaN is larger than any number, as for torch. A label that is no class is not counted.
    """
    across_tile, down_tile, image = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    row = (lines[2] + down_tile // tiles_down + tl.arange(0, 1))[:, None, None]
    column = (columns[2] + across_tile // tiles_across * B + tl.arange(0, B))[None, None, :]
    tile_down, tile_across = down_tile % tiles_down, across_tile % tiles_across
    pixel, exists, down, across = located(row, column, tile_down, tile_across, lines, columns, image, P, Q)
    top, bottom, left, right = corners(row, column, lines, columns)
    plane = tl.cast(lines[0], tl.int64) * columns[0]
    base = logits + image * classes * plane

    largest = tl.full([P, Q, B], -float("inf"), tl.float32)
    best = tl.zeros([P, Q, B], tl.int32)
    for c in range(classes):
        z = interpolated(base + c * plane, top, bottom, left, right, down, across)
        better = (z > largest) | ((z != z) & (largest == largest))  # noqa: PLR0124  one that is NaN
        largest = tl.where(better, z, largest)
        best = tl.where(better, c, best)
    if prediction is not None:
        tl.store(prediction + pixel, best.to(tl.int64), mask=exists)
    label = tl.load(target + pixel, mask=exists, other=ignore_index).to(tl.int32)
    own = (down_tile * tl.num_programs(0) + across_tile) % replicas * classes * classes
    is_class = exists & (label != ignore_index) & (label >= 0) & (label < classes)
    tl.atomic_add(counts + own + label * classes + best, 1, mask=is_class)
