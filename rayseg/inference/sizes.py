"""Which images an exported program takes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Sizes"]


@dataclass(frozen=True)
class Sizes:
    """One size, or all multiples of a number from the smallest on; batches of any size.

    Args:
        fixed: height and width, px; None: sizes may differ.
        multiple: what both sides must be multiples of, px.
        least: the smallest side, px.

    Example:
        >>> print(Sizes(multiple=16, least=64))
        N x 3 x H x W, H and W multiples of 16 from 64 px
        >>> Sizes(multiple=16, least=64).nearest((50, 93)), Sizes(fixed=(32, 48)).nearest((50, 93))
        ((64, 80), (32, 48))
    """

    fixed: tuple[int, int] | None = None
    multiple: int = 1
    least: int = 1

    def __str__(self) -> str:
        """The shape of its input."""
        if self.fixed is not None:
            return "N x 3 x {} x {}".format(*self.fixed)
        of = "" if self.multiple == 1 else f" multiples of {self.multiple}"
        return f"N x 3 x H x W, H and W{of or ' any'} from {self.least} px"

    def nearest(self, size: tuple[int, int]) -> tuple[int, int]:
        """The largest size that is allowed and not larger, or else the smallest that is allowed."""
        if self.fixed is not None:
            return self.fixed
        height, width = (max(side // self.multiple * self.multiple, self.least) for side in size)
        return height, width
