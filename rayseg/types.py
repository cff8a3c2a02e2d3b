"""The few types that siblings share.

Letters used everywhere: N images, C classes, H x W pixels of the mask, h x w pixels of a head's own stride.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["MAIN_HEAD", "Batch", "Sample", "SegOutput", "main_logits"]

#: Name of the head that predictions are taken from.
MAIN_HEAD = "main"

#: Named logits, each ``(N, C, h, w)`` at its head's own stride. The main head is called ``"main"``.
SegOutput = Mapping[str, Tensor]


@dataclass(frozen=True)
class Sample:
    """One image and its mask, before normalisation.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        mask: ``(H, W)`` uint8 class indices; ``ignore_index`` where nothing is labelled.
        name: where it came from, for errors and pictures.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    name: str


class Batch(NamedTuple):
    """What one forward pass sees on one worker.

    Args:
        images: ``(N, 3, H, W)`` float, normalised.
        masks: ``(N, H, W)`` int64 class indices; ``ignore_index`` where nothing is labelled.
        keys: ``(N,)`` int64, the global sample numbers k of the stream: dropout masks are functions of them.
    """

    images: Tensor
    masks: Tensor
    keys: Tensor


def main_logits(output: SegOutput) -> Tensor:
    """Logits ``(N, C, h, w)`` of the main head."""
    return output[MAIN_HEAD]
