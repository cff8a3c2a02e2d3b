"""Cross-entropy per pixel: torch's, but safe where nothing is labelled."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.losses import LOSSES, cross_entropy


def example(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64).to(dtype)
    target = torch.randint(0, 4, (2, 3, 5), generator=generator)
    target[:, 0, :2] = 255
    return logits, target


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_equals_torch_in_value_and_gradient(dtype: torch.dtype, smoothing: float) -> None:
    logits, target = example(dtype)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = cross_entropy(ours, target, ignore_index=255, label_smoothing=smoothing)
    expected = F.cross_entropy(theirs, target, ignore_index=255, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(loss, expected)
    gradients = torch.autograd.grad(loss.square().sum() + expected.square().sum(), (ours, theirs))
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("ignore_index", [255, 2])
def test_ignored_pixels_cost_nothing_and_pull_nowhere(ignore_index: int) -> None:
    logits, target = example()
    target = target.masked_fill(target == 255, ignore_index)
    logits.requires_grad_()
    loss = cross_entropy(logits, target, ignore_index=ignore_index, label_smoothing=0.2)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    ignored = target == ignore_index
    assert (loss[ignored] == 0).all()
    assert (gradient.movedim(1, -1)[ignored] == 0).all()
    assert (loss[~ignored] > 0).all()


def test_given_log_probabilities_replace_the_logits() -> None:
    logits, target = example()
    log_probs = F.log_softmax(logits, dim=1)
    nonsense = torch.full_like(logits, torch.nan)
    given = cross_entropy(nonsense, target, ignore_index=255, label_smoothing=0.1, log_probs=log_probs)
    torch.testing.assert_close(given, cross_entropy(logits, target, ignore_index=255, label_smoothing=0.1))


def test_half_precision_logits_are_computed_in_float32() -> None:
    logits, target = example(torch.bfloat16)
    loss = cross_entropy(logits, target, ignore_index=255)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, cross_entropy(logits.float(), target, ignore_index=255))


@pytest.mark.parametrize("images", [0, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_nothing_labelled_is_zero_without_nan(dtype: torch.dtype, images: int) -> None:
    logits = torch.zeros(images, 3, 4, 4, dtype=dtype, requires_grad=True)
    loss = cross_entropy(logits, torch.full((images, 4, 4), 255), ignore_index=255, label_smoothing=0.1)
    assert loss.shape == (images, 4, 4)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert (loss == 0).all()
    assert (gradient == 0).all()


def test_losses_are_found_by_their_config_names() -> None:
    assert LOSSES["cross_entropy"] is cross_entropy
    assert list(LOSSES) == sorted(LOSSES)
