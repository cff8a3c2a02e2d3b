"""A line in a terminal, of braille dots: two across and four down in each character."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["draw_line"]

#: Bit of the dot in column 0 or 1 and row 0 (top) to 3 of a braille character.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800


def draw_line(xs: Sequence[float], ys: Sequence[float], *, columns: int, rows: int, low: float, high: float) -> list[str]:
    """Lines of text with the curve through some points.

    Args:
        xs: rising; the first and last are at the edges.
        ys: one for each.
        columns: characters across.
        rows: characters down.
        low: value at the lower edge.
        high: value at the upper edge, above ``low``.

    Returns:
        ``rows`` strings of ``columns`` characters, the top first.

    Example:
        >>> draw_line([0, 1], [0.0, 1.0], columns=4, rows=2, low=0.0, high=1.0)
        ['⠀⠀⡠⠊', '⡠⠊⠀⠀']
    """
    width, height = 2 * columns, 4 * rows
    cells = [[_BLANK] * columns for _ in range(rows)]
    across = [(x - xs[0]) / ((xs[-1] - xs[0]) or 1) * (width - 1) for x in xs]
    down = [(high - min(max(y, low), high)) / (high - low) * (height - 1) for y in ys]
    for column, first, last in _spans(across, down, width):
        for row in range(first, last + 1):
            cells[row // 4][column // 2] |= _DOTS[column % 2][row % 4]
    return ["".join(map(chr, line)) for line in cells]


def _spans(across: Sequence[float], down: Sequence[float], width: int) -> list[tuple[int, int, int]]:
    """Column of dots, and the first and last dot in it, so that the curve has no gap."""
    heights: list[list[float]] = [[] for _ in range(width)]
    for x, y in zip(across, down, strict=True):
        heights[round(x)].append(y)
    for column, found in enumerate(heights):
        if not found:
            found.append(_between(across, down, column))
    spans, before = [], heights[0][0]
    for column, found in enumerate(heights):
        reach = [*found, before]
        top, bottom = round(min(found)), round(max(found))
        if column and abs(before - found[0]) > 1:  # a jump: join it to where the curve was
            top, bottom = round(min(reach)), round(max(reach))
        spans.append((column, top, bottom))
        before = found[-1]
    return spans


def _between(across: Sequence[float], down: Sequence[float], column: int) -> float:
    """Height on the line between the points around a column."""
    right = next((index for index, x in enumerate(across) if x >= column), len(across) - 1)
    left = max(right - 1, 0)
    gap = across[right] - across[left]
    share = 0.0 if gap == 0 else (column - across[left]) / gap
    return down[left] + share * (down[right] - down[left])
