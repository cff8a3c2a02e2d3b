"""The statistics of upsampled logits in Triton: the kernels. Imported only where they are used, as Triton is.

A cell is what lies between four logits: its pixels are interpolated from these, and from no others. A lane of a program has one
cell and goes over all classes; what it adds to a gradient goes to the four logits of its cell. Cells that touch share logits,
so the backward pass goes over every other cell of every other row, four times: no two lanes of a launch add to one number, and
nothing depends on the order in which they run. Pixels before the first logit, or behind the last, are cells of which
both sides are the same; their gradient goes to the one that exists.

Where a pixel lies is a ratio of integers, ``(step x + shift) / whole`` logits from the first, for any sizes and both
conventions; its cell is the floor of that, its share of the far side the rest, rounded once.

Letters: N images, C classes, H x W pixels, h x w logits, B cells of a program, P x Q pixels of a cell that are taken at once.
An axis is ``(logits, pixels, first cell, step, shift, whole)``.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["backward", "corners", "forward", "interpolated", "located", "total"]


@triton.jit
def _first_pixel(cell: tl.tensor, axis: tl.tensor) -> tl.tensor:
    return tl.maximum(axis[5] * cell - axis[4] + axis[3] - 1, 0) // axis[3]


@triton.jit
def _along(cell: tl.tensor, place: tl.tensor, axis: tl.tensor) -> tl.tensor:
    """Of the pixel at a place within a cell: its index, whether there is one, and the share of the far side."""
    pixel = _first_pixel(cell, axis) + place
    exists = (pixel < _first_pixel(cell + 1, axis)) & (pixel < axis[1]) & (cell < axis[0])
    share = (axis[3] * pixel + axis[4] - axis[5] * cell).to(tl.float32) / axis[5].to(tl.float32)
    share = tl.where(cell < 0, 1.0, tl.where(cell >= axis[0] - 1, 0.0, share))
    return pixel, exists, share


@triton.jit
def located(
    row: tl.tensor,
    column: tl.tensor,
    tile_down: tl.tensor,
    tile_across: tl.tensor,
    lines: tl.tensor,
    columns: tl.tensor,
    image: tl.tensor,
    P: tl.constexpr,
    Q: tl.constexpr,
) -> tl.tensor:
    """Of the pixels ``(P, Q, B)`` of a tile of cells: where they are, whether they exist, and their shares of the far sides."""
    place_y = (tile_down * P + tl.arange(0, P))[:, None, None]
    place_x = (tile_across * Q + tl.arange(0, Q))[None, :, None]
    y, exists_y, down = _along(row, place_y, lines)
    x, exists_x, across = _along(column, place_x, columns)
    pixel = (image * lines[1] + y) * columns[1] + x
    pixel = tl.max_contiguous(pixel, [1, 1, 1])  # else labels are laid out for wide loads, and exchanged for every class
    return pixel, exists_y & exists_x, down, across


@triton.jit
def interpolated(
    base: tl.tensor, top: tl.tensor, bottom: tl.tensor, left: tl.tensor, right: tl.tensor, down: tl.tensor, across: tl.tensor
) -> tl.tensor:
    """Logits ``(P, Q, B)`` of one class between four corners, of which the offsets are given."""
    upper_left = tl.load(base + (top + left)).to(tl.float32)
    upper_right = tl.load(base + (top + right)).to(tl.float32)
    lower_left = tl.load(base + (bottom + left)).to(tl.float32)
    lower_right = tl.load(base + (bottom + right)).to(tl.float32)
    at_left = upper_left + down * (lower_left - upper_left)
    at_right = upper_right + down * (lower_right - upper_right)
    return at_left + across * (at_right - at_left)


@triton.jit
def corners(row: tl.tensor, column: tl.tensor, lines: tl.tensor, columns: tl.tensor) -> tl.tensor:
    """Offsets of the rows above and below, and of the columns before and behind; within the logits for every cell."""
    top = tl.maximum(row, 0) * columns[0]
    bottom = tl.minimum(row + 1, lines[0] - 1) * columns[0]
    left = tl.minimum(tl.maximum(column, 0), columns[0] - 1)
    right = tl.minimum(column + 1, columns[0] - 1)
    return top, bottom, left, right


@triton.jit
def _total(values: tl.tensor) -> tl.tensor:
    """Sum of ``(P, Q, B)``, over the pixels of a lane first."""
    return tl.sum(tl.sum(tl.sum(values, 0), 0), 0)


@triton.jit
def forward(  # noqa: PLR0913, PLR0917  of a kernel
    logits: tl.tensor,
    target: tl.tensor,
    nll: tl.tensor,
    log_sum: tl.tensor,
    mean_nll: tl.tensor,
    partial: tl.tensor,
    ignore_index: tl.tensor,
    classes: tl.tensor,
    lines: tl.tensor,
    columns: tl.tensor,
    tiles_down: tl.tensor,
    tiles_across: tl.tensor,
    P: tl.constexpr,
    Q: tl.constexpr,
    B: tl.constexpr,
    VOID: tl.constexpr,
) -> None:
    """Nll and the log of the sum of exponentials; unless None mean_nll, and class sums ``(N, programs, 6, C)`` of each program.

    Programs: ``(blocks of cells x tiles across, rows of cells x tiles down, N)``. A label that is neither a class nor ignored
    gives NaN, in the sums of all classes too.
    """
    across_tile, down_tile, image = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    row = (lines[2] + down_tile // tiles_down + tl.arange(0, 1))[:, None, None]
    column = (columns[2] + across_tile // tiles_across * B + tl.arange(0, B))[None, None, :]
    pixel, exists, down, across = located(
        row, column, down_tile % tiles_down, across_tile % tiles_across, lines, columns, image, P, Q
    )
    top, bottom, left, right = corners(row, column, lines, columns)
    plane = tl.cast(lines[0], tl.int64) * columns[0]
    base = logits + image * classes * plane
    label = tl.load(target + pixel, mask=exists, other=ignore_index)
    labelled = label != ignore_index
    is_class = labelled & (label >= 0) & (label < classes)
    label = label.to(tl.int32)

    largest = tl.full([P, Q, B], -float("inf"), tl.float32)
    for c in range(classes):
        largest = tl.maximum(largest, interpolated(base + c * plane, top, bottom, left, right, down, across))
    powers = tl.zeros([P, Q, B], tl.float32)
    differences = tl.zeros([P, Q, B], tl.float32)
    for c in range(classes):
        difference = interpolated(base + c * plane, top, bottom, left, right, down, across) - largest
        powers += tl.exp(difference)
        if mean_nll is not None:
            differences += difference
    log_powers = tl.log(powers)
    at_label = interpolated(base + tl.where(is_class, label, 0) * plane, top, bottom, left, right, down, across)
    total_log = tl.where(labelled == is_class, largest + log_powers, float("nan"))
    value = total_log - at_label
    tl.store(nll + pixel, tl.where(labelled, tl.where(value < 0, 0.0, value), 0.0), mask=exists)
    tl.store(log_sum + pixel, total_log, mask=exists)
    if mean_nll is not None:
        tl.store(mean_nll + pixel, tl.where(labelled, log_powers - differences / classes, 0.0), mask=exists)

    if partial is not None:
        own = partial + ((image * tl.num_programs(1) + down_tile) * tl.num_programs(0) + across_tile) * 6 * classes
        label = tl.where(exists & labelled, label, -1)
        total_log = tl.where(exists, total_log, float("inf"))  # so that p is 0 where nothing is
        for c in range(classes):
            p = tl.exp(interpolated(base + c * plane, top, bottom, left, right, down, across) - total_log)
            counted, hit = tl.where(labelled, p, 0.0), label == c
            tl.store(own + c, _total(tl.where(hit, p, 0.0)))
            tl.store(own + classes + c, _total(counted))
            tl.store(own + 2 * classes + c, _total(counted * counted))
            tl.store(own + 3 * classes + c, _total(tl.where(hit, 1.0, 0.0)))
            if VOID:
                ignored = tl.where(labelled, 0.0, p)
                tl.store(own + 4 * classes + c, _total(ignored))
                tl.store(own + 5 * classes + c, _total(ignored * ignored))


@triton.jit
def total(
    partial: tl.tensor, sums: tl.tensor, programs: tl.tensor, width: tl.tensor, LINES: tl.constexpr, B: tl.constexpr
) -> None:
    """Sums ``(N, width)`` in float64 of ``(N, programs, width)`` over the programs, always in the same order.

    Programs: ``(blocks of the width, N)``.
    """
    column = tl.program_id(0) * B + tl.arange(0, B)
    image = tl.program_id(1).to(tl.int64)
    added = tl.zeros([LINES, B], tl.float64)
    for first in range(0, programs, LINES):
        line = first + tl.arange(0, LINES)
        there = (line < programs)[:, None] & (column < width)[None, :]
        added += tl.load(partial + ((image * programs + line) * width)[:, None] + column[None, :], mask=there, other=0.0)
    tl.store(sums + image * width + column, tl.sum(added, 0), mask=column < width)


@triton.jit
def _of_sums(
    of_sums: tl.tensor, c: tl.tensor, classes: tl.tensor, p: tl.tensor, hit: tl.tensor, labelled: tl.tensor, VOID: tl.constexpr
) -> tl.tensor:
    """What the class sums add to the total for each unit of p."""
    slope = tl.load(of_sums + classes + c) + 2.0 * tl.load(of_sums + 2 * classes + c) * p
    if VOID:
        slope_of_void = tl.load(of_sums + 4 * classes + c) + 2.0 * tl.load(of_sums + 5 * classes + c) * p
        slope = tl.where(labelled, slope, slope_of_void)
    return slope + tl.where(hit, tl.load(of_sums + c), 0.0)


@triton.jit
def _add(base: tl.tensor, offset: tl.tensor, value: tl.tensor, there: tl.tensor) -> None:
    tl.store(base + offset, tl.load(base + offset, mask=there, other=0.0) + value, mask=there)


@triton.jit
def backward(  # noqa: PLR0913, PLR0917  of a kernel
    logits: tl.tensor,
    target: tl.tensor,
    log_sum: tl.tensor,
    of_nll: tl.tensor,
    of_mean_nll: tl.tensor,
    of_sums: tl.tensor,
    gradient: tl.tensor,
    ignore_index: tl.tensor,
    classes: tl.tensor,
    lines: tl.tensor,
    columns: tl.tensor,
    tiles_down: tl.tensor,
    tiles_across: tl.tensor,
    odd_row: tl.tensor,
    odd_column: tl.tensor,
    P: tl.constexpr,
    Q: tl.constexpr,
    B: tl.constexpr,
    VOID: tl.constexpr,
) -> None:
    """Adds the gradient of every other cell of every other row, from the first or the second on; what is None is 0.

    Programs: ``(blocks of cells, rows of cells, N)``, of those cells.
    """
    image = tl.program_id(2).to(tl.int64)
    row = (lines[2] + odd_row + 2 * tl.program_id(1) + tl.arange(0, 1))[:, None, None]
    column = (columns[2] + odd_column + 2 * (tl.program_id(0) * B + tl.arange(0, B)))[None, None, :]
    top, bottom, left, right = corners(row, column, lines, columns)
    plane = tl.cast(lines[0], tl.int64) * columns[0]
    base = logits + image * classes * plane
    has_left, has_right = (column >= 0) & (column < columns[0]), column + 1 < columns[0]
    has_top, has_bottom = row >= 0, row + 1 < lines[0]
    for tile in range(tiles_down * tiles_across):
        pixel, exists, down, across = located(
            row, column, tile // tiles_across, tile % tiles_across, lines, columns, image, P, Q
        )
        label = tl.load(target + pixel, mask=exists, other=ignore_index)
        labelled = exists & (label != ignore_index)
        label = tl.where(labelled, label, -1).to(tl.int32)
        counts = labelled
        if VOID:
            counts = exists
        total_log = tl.load(log_sum + pixel, mask=counts, other=float("inf"))  # so that p is 0 where nothing counts
        at_label = tl.zeros([P, Q, B], tl.float32)
        through = tl.zeros([P, Q, B], tl.float32)
        each = tl.zeros([P, Q, B], tl.float32)
        if of_nll is not None:
            at_label = tl.load(of_nll + pixel, mask=labelled, other=0.0)
            through += at_label
        if of_mean_nll is not None:
            of_mean = tl.load(of_mean_nll + pixel, mask=labelled, other=0.0)
            through += of_mean
            each = of_mean / classes
        if of_sums is not None:
            own = of_sums + image * 6 * classes
            for c in range(classes):
                p = tl.exp(interpolated(base + c * plane, top, bottom, left, right, down, across) - total_log)
                through -= p * _of_sums(own, c, classes, p, label == c, labelled, VOID)
        for c in range(classes):
            p = tl.exp(interpolated(base + c * plane, top, bottom, left, right, down, across) - total_log)
            hit = label == c
            slope = through
            if of_sums is not None:
                slope += _of_sums(own, c, classes, p, hit, labelled, VOID)
            slope = p * slope - each - tl.where(hit, at_label, 0.0)
            below = tl.sum(slope * down, 0, keep_dims=True)
            above = tl.sum(slope * (1.0 - down), 0, keep_dims=True)
            here = gradient + (image * classes + c) * plane
            _add(here, top + left, tl.sum(above * (1.0 - across), 1, keep_dims=True), has_top & has_left)
            _add(here, top + right, tl.sum(above * across, 1, keep_dims=True), has_top & has_right)
            _add(here, bottom + left, tl.sum(below * (1.0 - across), 1, keep_dims=True), has_bottom & has_left)
            _add(here, bottom + right, tl.sum(below * across, 1, keep_dims=True), has_bottom & has_right)
        tl.debug_barrier()  # what a tile added is there before the next adds to it
