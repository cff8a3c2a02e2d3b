"""Logits and labels that the tests of the samplers share."""

from __future__ import annotations

import torch
from torch import Tensor


def shared_example() -> tuple[Tensor, Tensor]:
    """The logits and labels on which the original code was run: (2, 4, 3, 5), 26 of 30 pixels labelled."""
    N, C, H, W = 2, 4, 3, 5
    logits = 2 * torch.sin(0.7 * torch.arange(N * C * H * W, dtype=torch.float64)).view(N, C, H, W)
    n, h, w = torch.meshgrid(torch.arange(N), torch.arange(H), torch.arange(W), indexing="ij")
    target = (7 * n + 3 * h + 2 * w) % 4
    target[:, 0, 0:2] = 255
    return logits, target


def random_example(seed: int, images: int = 3, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits ``(images, 5, 6, 7)``, and labels of which about three in ten are void."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, 5, 6, 7, generator=generator).to(dtype)
    target = torch.randint(0, 5, (images, 6, 7), generator=generator)
    return logits, target.masked_fill(torch.rand(target.shape, generator=generator) < 0.3, 255)


def tied_example(seed: int, images: int = 3) -> tuple[Tensor, Tensor]:
    """The same with logits of a few values only, so that many pixels tie."""
    logits, target = random_example(seed, images)
    return logits.round(), target
