"""The pooling of PSPNet is torch's adaptive pooling, gradients included."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from rayseg.models.mmseg.psp import GridAverage


@pytest.mark.parametrize("scale", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(6, 6), (5, 7), (3, 13), (1, 2)])
def test_means_over_a_grid_are_adaptive_pooling(scale: int, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ours, theirs = GridAverage(scale)(x), F.adaptive_avg_pool2d(x, scale)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn(theirs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gradients = [torch.autograd.grad(each, x, weight, retain_graph=True)[0] for each in (ours, theirs)]
    torch.testing.assert_close(*gradients)
