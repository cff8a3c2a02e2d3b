"""How far two ways to compute the same agree, on images.

Letters: N images, K channels of the logits, H x W pixels of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels import predicted_classes

__all__ = ["Agreement", "agreement"]


@dataclass(frozen=True)
class Agreement:
    """What was found.

    Args:
        images: number of images.
        difference: largest difference of a value, where values are compared and not classes.
        scale: largest absolute value that was expected.
        pixels: share of the pixels whose most probable class differs, 0-1.

    Example:
        >>> print(Agreement(4, 2e-6, 8.0, 0.0))
        4 images: largest difference 2e-06 (values up to 8), 0 % of the pixels have another class
    """

    images: int
    difference: float
    scale: float
    pixels: float

    def __str__(self) -> str:
        """One line."""
        values = "" if self.scale == 0 else f"largest difference {self.difference:.2g} (values up to {self.scale:.3g}), "
        return f"{self.images} images: {values}{100 * self.pixels:.3g} % of the pixels have another class"

    def within(self, tolerance: float) -> bool:
        """Whether the largest difference, as a share of the largest value, and the share of other pixels are small enough.

        Example:
            >>> Agreement(1, 0.1, 10.0, 0.0).within(1e-3), Agreement(1, 0.1, 10.0, 0.0).within(0.02)
            (False, True)
        """
        return math.isfinite(self.scale) and self.difference <= tolerance * self.scale and self.pixels <= tolerance


def agreement(expected: Callable[[Tensor], Tensor], got: Callable[[Tensor], Tensor], batches: Iterable[Tensor]) -> Agreement:
    """Compare two functions of images.

    Args:
        expected: images to ``(N, K, H, W)`` values, of which the largest channel is the class, or to ``(N, H, W)`` classes.
        got: another one.
        batches: ``(N, 3, H, W)``, of any sizes.

    Raises:
        ShapeError: they make tensors of different shapes.

    Example:
        >>> agreement(lambda x: x, lambda x: x + 1.0, [torch.zeros(2, 3, 4, 4)]).difference
        1.0
    """
    images = pixels = others = 0
    differences, scales = [torch.zeros(())], [torch.zeros(())]
    for batch in batches:
        with torch.no_grad():
            first, second = expected(batch), got(batch)
        if first.shape != second.shape:
            raise ShapeError(f"of images {tuple(batch.shape)} one makes {tuple(first.shape)}, the other {tuple(second.shape)}")
        if first.is_floating_point():
            differences.append((second - first).abs().max())
            scales.append(first.abs().max())
            first, second = predicted_classes(first), predicted_classes(second)
        images += len(batch)
        pixels += first.numel()
        others += int((first != second).sum())
    return Agreement(images, _largest(differences), _largest(scales), others / max(pixels, 1))


def _largest(values: Sequence[Tensor]) -> float:
    """NaN where one is."""
    return float(torch.stack(list(values)).max())
