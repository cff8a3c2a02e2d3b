"""The statistics of upsampled logits against logits at full size, in float64."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels import Backend, ClassSums, PixelStatistics, Strips, Wanted, pixel_statistics, strips
from tests.kernels.backends import BACKENDS

VOID = 255
EVERYTHING = Wanted(mean_nll=True, sums=True, void=True)


def at_full_size(logits: Tensor, target: Tensor, *, align_corners: bool) -> PixelStatistics:
    """The definitions, written down with logits at full size."""
    z = F.interpolate(logits, size=tuple(target.shape[1:]), mode="bilinear", align_corners=align_corners)
    z = torch.cat([torch.zeros_like(z), z], 1) if z.shape[1] == 1 else z
    valid = target != VOID
    label = target.where(valid, 0)
    log_p = z.log_softmax(1)
    one_hot = F.one_hot(label, z.shape[1]).movedim(-1, 1) * valid[:, None]
    v, p = valid[:, None].to(z), log_p.exp()
    sums = (p * one_hot, p * v, p * p * v, one_hot.to(z), p * (1 - v), p * p * (1 - v))
    nll = -(log_p * one_hot).sum(1)
    return PixelStatistics(nll, -log_p.mean(1) * valid, ClassSums(*(each.sum((2, 3)) for each in sums)))


def batch(seed: int, n: int, c: int, h: int, w: int, height: int, width: int, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, max(2, c), (n, height, width), generator=generator)
    void = torch.rand(n, height, width, generator=generator) < 0.2
    target[0, : height // 2] = 1  # long runs, and rows with nothing else
    return torch.randn(n, c, h, w, generator=generator) * scale, target.masked_fill(void, VOID)


def flat(found: PixelStatistics, weights: Tensor) -> tuple[list[Tensor], Tensor]:
    """Every output, and a scalar that depends on all of them with weights of its own."""
    assert found.mean_nll is not None
    assert found.sums is not None
    outputs = [found.nll, found.mean_nll, *found.sums]
    rolled = weights.flatten().to(found.nll.dtype)
    weighted = [each * rolled.roll(place)[: each.numel()].view(each.shape) for place, each in enumerate(outputs)]
    total = torch.stack([each.sum() for each in weighted]).sum()
    return outputs, total


def assert_same(backend: Backend, logits: Tensor, target: Tensor, *, align_corners: bool) -> None:
    precise, ours = (logits.to(dtype).requires_grad_() for dtype in (torch.float64, torch.float32))
    classes = max(2, logits.shape[1])
    weights = torch.rand(max(target.numel(), target.shape[0] * classes), generator=torch.Generator().manual_seed(5)) - 0.3
    expected, total = flat(at_full_size(precise, target, align_corners=align_corners), weights)
    torch.autograd.backward([total])
    got = pixel_statistics(ours, target, ignore_index=VOID, wanted=EVERYTHING, backend=backend, align_corners=align_corners)
    found, mine = flat(got, weights)
    torch.autograd.backward([mine])
    for value, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(value.double(), reference, rtol=2e-5, atol=2e-5)
    assert precise.grad is not None
    assert ours.grad is not None
    error = (ours.grad - precise.grad).norm() / precise.grad.norm().clamp(min=1e-12)
    assert error < 2e-6, f"{backend.name}: relative error of the gradient {error:.1e}"


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@settings(max_examples=12)
@given(
    seed=st.integers(0, 999),
    n=st.integers(1, 3),
    c=st.sampled_from([1, 2, 3, 7, 19]),
    sizes=st.tuples(*[st.integers(1, 9)] * 2, *[st.integers(1, 40)] * 2),
    align_corners=st.booleans(),
)
def test_every_output_and_gradient_is_that_of_logits_at_full_size(
    backend: Backend, seed: int, n: int, c: int, sizes: tuple[int, int, int, int], align_corners: bool
) -> None:
    logits, target = batch(seed, n, c, *sizes)
    assert_same(backend, logits, target, align_corners=align_corners)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize(("c", "h", "w", "height", "width"), [(19, 13, 17, 97, 131), (150, 5, 9, 33, 70), (5, 40, 40, 40, 40)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_scales_that_are_no_whole_number_many_classes_and_none_at_all(
    backend: Backend, c: int, h: int, w: int, height: int, width: int, align_corners: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strips, "_STRIP_ELEMENTS", 20 * c * width)
    assert_same(backend, *batch(1, 2, c, h, w, height, width), align_corners=align_corners)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_confident_logits_lose_no_digits(backend: Backend) -> None:
    assert_same(backend, *batch(2, 1, 4, 6, 6, 24, 24, scale=40.0), align_corners=False)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_an_image_without_a_label_has_zeros_and_no_gradient(backend: Backend) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    target = torch.full((2, 8, 8), VOID)
    found = pixel_statistics(logits, target, ignore_index=VOID, wanted=Wanted(True, True), backend=backend)
    assert found.mean_nll is not None
    assert found.sums is not None
    torch.autograd.backward([found.nll.sum() + found.mean_nll.sum() + torch.stack(found.sums).sum()])
    assert not found.nll.any()
    assert not found.mean_nll.any()
    assert not torch.stack(found.sums).any()
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_one_image_does_not_see_another(backend: Backend) -> None:
    logits, target = batch(3, 3, 5, 7, 7, 30, 31)
    take = partial(pixel_statistics, ignore_index=VOID, wanted=EVERYTHING, backend=backend)
    whole, alone = take(logits, target), take(logits[1:2], target[1:2])
    assert torch.equal(whole.nll[1:2], alone.nll)
    assert whole.sums is not None
    assert alone.sums is not None
    assert all(torch.equal(a[1:2], b) for a, b in zip(whole.sums, alone.sums, strict=True))


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_logit_that_is_no_number_is_seen_in_the_loss(backend: Backend, broken: float) -> None:
    logits, target = batch(4, 1, 6, 4, 4, 16, 16)
    logits[0, 3, 2, 2] = broken
    found = pixel_statistics(logits, target.masked_fill(target == VOID, 0), ignore_index=VOID, wanted=Wanted(), backend=backend)
    assert not found.nll.isfinite().all()


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_half_precision_logits_get_a_gradient_of_their_own_kind(backend: Backend) -> None:
    logits, target = batch(6, 1, 3, 4, 4, 16, 16)
    half, single = logits.bfloat16().requires_grad_(), logits.bfloat16().float().requires_grad_()
    for leaf in (half, single):
        found = pixel_statistics(leaf, target, ignore_index=VOID, wanted=Wanted(), backend=backend)
        torch.autograd.backward([found.nll.sum()])
    assert half.grad is not None
    assert single.grad is not None
    assert torch.equal(half.grad, single.grad.bfloat16())


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_labels_may_be_integers_of_any_kind_in_any_order_and_none_at_all(backend: Backend) -> None:
    logits, target = batch(9, 2, 3, 5, 4, 20, 17)
    take = partial(pixel_statistics, ignore_index=VOID, wanted=Wanted(), backend=backend)
    strided = target.byte().movedim(0, -1).contiguous().movedim(-1, 0)
    assert torch.equal(take(logits, strided).nll, take(logits, target).nll)
    assert take(logits[:0], target[:0]).nll.shape == (0, 20, 17)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"logits \(1, 2, 3, 3\) do not fit masks \(2, 6, 6\)"):
        pixel_statistics(
            torch.zeros(1, 2, 3, 3), torch.zeros(2, 6, 6).long(), ignore_index=VOID, wanted=Wanted(), backend=Strips()
        )
