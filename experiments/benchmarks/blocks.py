"""Generated labels and logits on which losses and scores are measured, and what exponentials of them take."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

VOID = 255


def batch(case: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Blocks of labels, and logits that know most of them: few pixels are below OHEM's threshold, so the k-th must be found.

    Args:
        case: images, classes, height and width of the labels in px, stride of the logits.

    Returns:
        Logits ``(N, C, H / stride, W / stride)`` float32, labels ``(N, H, W)`` int64 with a strip of void.
    """
    n, c, height, width, stride = case
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(n, c, max(3, height // 64), max(3, width // 64), generator=generator)
    labels = F.interpolate(coarse, size=(height, width), mode="bicubic").argmax(1)
    low = labels[:, ::stride, ::stride]
    logits = F.one_hot(low, c).movedim(-1, 1) * 9.0 + torch.randn(n, c, *low.shape[1:], generator=generator) * 1.8
    labels[:, : height // 12] = VOID
    return logits.contiguous(), labels


def exponentials(case: tuple[int, ...]) -> Callable[[], None]:
    """As many exponentials as there are logits at full size, of values that stay in the first cache."""
    values = torch.randn(8192)
    out, repeats = torch.empty_like(values), case[0] * case[1] * case[2] * case[3] // 8192

    def run() -> None:
        for _ in range(repeats):
            torch.exp(values, out=out)

    return run
