"""Cross-entropy and its gradient in one pass, against torch's own with logits at full size, in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels import Native, SumsCrossEntropy, compiled_backend, summed_cross_entropy
from rayseg.losses import cross_entropy
from tests.kernels.backends import BACKENDS
from tests.kernels.test_statistics import VOID, batch

SUMMING: list[Any] = [backend for backend in BACKENDS if isinstance(backend, SumsCrossEntropy)]
summing = pytest.mark.parametrize("backend", SUMMING, ids=lambda backend: backend.name)


def at_full_size(
    logits: Tensor, target: Tensor, weight: Tensor, smoothing: float, align_corners: bool
) -> tuple[Tensor, Tensor]:
    """Both sums, with logits at full size."""
    z = F.interpolate(logits, size=tuple(target.shape[1:]), mode="bilinear", align_corners=align_corners)
    valid = target != VOID
    of_label = weight.double()[target.where(valid, 0)] * valid
    return (cross_entropy(z, target, ignore_index=VOID, label_smoothing=smoothing) * of_label).sum(), of_label.sum()


def test_the_compiled_backend_sums() -> None:
    assert compiled_backend() is None or SUMMING


@summing
@settings(max_examples=12)
@given(
    seed=st.integers(0, 999),
    n=st.integers(1, 3),
    c=st.sampled_from([1, 2, 3, 7, 19]),
    sizes=st.tuples(*[st.integers(1, 9)] * 2, *[st.integers(1, 40)] * 2),
    scale=st.sampled_from([0.1, 3.0, 40.0]),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    weighted=st.booleans(),
    upstream=st.sampled_from([1.0, -2.5]),
    align_corners=st.booleans(),
)
def test_sums_and_gradient_are_those_of_logits_at_full_size(
    backend: Any,
    seed: int,
    n: int,
    c: int,
    sizes: tuple[int, int, int, int],
    scale: float,
    smoothing: float,
    weighted: bool,
    upstream: float,
    align_corners: bool,
) -> None:
    logits, target = batch(seed, n, c, *sizes, scale=scale)
    classes = max(c, 2)
    weight = torch.linspace(0, 2, classes) if weighted else None
    precise, ours = (logits.to(dtype).requires_grad_() for dtype in (torch.float64, torch.float32))
    expected, weights = at_full_size(
        precise, target, torch.ones(classes) if weight is None else weight, smoothing, align_corners
    )
    found = summed_cross_entropy(
        ours,
        target,
        ignore_index=VOID,
        backend=backend,
        class_weight=weight,
        label_smoothing=smoothing,
        align_corners=align_corners,
    )
    torch.testing.assert_close(torch.stack(found).double(), torch.stack([expected, weights]), rtol=2e-6, atol=2e-5)
    torch.autograd.backward([upstream * expected, upstream * found.loss])
    assert precise.grad is not None
    assert ours.grad is not None
    error = (ours.grad - precise.grad).norm()
    assert error <= 2e-6 * precise.grad.norm() + 1e-12, f"relative error of the gradient {error / precise.grad.norm():.1e}"


@summing
def test_sizes_over_many_tiles_and_strips_in_any_number_of_threads(backend: Any) -> None:
    weight, found = torch.linspace(0.1, 2, 19), []
    logits, target = batch(1, 2, 19, 33, 67, 131, 262)
    for threads in (1, 3):
        torch.set_num_threads(threads)
        leaf = logits.clone().requires_grad_()
        one = summed_cross_entropy(leaf, target, ignore_index=VOID, backend=backend, class_weight=weight, label_smoothing=0.1)
        found.append([*one, *torch.autograd.grad(one.loss, leaf)])
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    precise = logits.double().requires_grad_()
    expected, weights = at_full_size(precise, target, weight, 0.1, False)
    assert found[0][0].item() == pytest.approx(expected.item(), rel=1e-6)
    assert found[0][1].item() == pytest.approx(weights.item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(expected, precise)
    assert (found[0][2] - gradient).norm() < 1e-6 * gradient.norm()


@summing
def test_nothing_labelled_is_nothing_and_broken_logits_where_nothing_is_labelled_are_not_seen(backend: Any) -> None:
    logits = torch.zeros(1, 3, 4, 4)
    logits[0, 1, 0, 3] = math.nan
    leaf, target = logits.requires_grad_(), torch.full((1, 4, 4), VOID)
    found = summed_cross_entropy(leaf, target, ignore_index=VOID, backend=backend)
    assert found.loss == found.weight == 0
    (gradient,) = torch.autograd.grad(found.loss, leaf)
    assert not gradient.any()
    target[0, :, :2] = 2
    found = summed_cross_entropy(leaf, target, ignore_index=VOID, backend=backend)
    assert found.loss.item() == pytest.approx(8 * math.log(3))
    nobody = summed_cross_entropy(leaf[:0], target[:0], ignore_index=VOID, backend=backend)
    assert nobody.loss == nobody.weight == 0


@summing
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_logit_that_is_no_number_is_seen_in_the_loss_also_where_its_label_has_no_weight(backend: Any, broken: float) -> None:
    logits, target = batch(4, 1, 6, 4, 4, 16, 16)
    logits[0, 3, 2, 2] = broken
    target, weight = target.masked_fill(target == VOID, 0), torch.zeros(6)
    assert summed_cross_entropy(logits, target, ignore_index=VOID, backend=backend, class_weight=weight).loss.isnan()


@summing
def test_half_precision_logits_get_a_gradient_of_their_own_kind(backend: Any) -> None:
    logits, target = batch(6, 1, 3, 4, 4, 16, 16)
    half, single = logits.bfloat16().requires_grad_(), logits.bfloat16().float().requires_grad_()
    for leaf in (half, single):
        torch.autograd.backward([summed_cross_entropy(leaf, target, ignore_index=VOID, backend=backend).loss])
    assert half.grad is not None
    assert single.grad is not None
    assert torch.equal(half.grad, single.grad.bfloat16())


@summing
def test_the_gradient_may_be_taken_again_but_has_none_itself(backend: Any) -> None:
    logits, target = batch(6, 1, 3, 4, 4, 16, 16)
    leaf = logits.requires_grad_()
    loss = summed_cross_entropy(leaf, target, ignore_index=VOID, backend=backend).loss
    assert not torch.autograd.grad(loss * 0, leaf, retain_graph=True)[0].any()
    first, again = (torch.autograd.grad(loss * 3, leaf, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, again)
    (freed,) = torch.autograd.grad(loss, leaf)
    torch.testing.assert_close(3 * freed, again)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, leaf)
    loss = summed_cross_entropy(leaf, target, ignore_index=VOID, backend=backend).loss
    (twice,) = torch.autograd.grad(loss.square(), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        torch.autograd.backward([twice.sum()])


@summing
@pytest.mark.parametrize("changed", ["logits", "labels", "weights"])
def test_the_gradient_is_not_taken_again_of_what_was_written_into_meanwhile(backend: Any, changed: str) -> None:
    leaf, target = batch(6, 1, 3, 4, 4, 16, 16)
    logits, weight = leaf.requires_grad_() * 1, torch.ones(3)
    loss = summed_cross_entropy(logits, target, ignore_index=VOID, backend=backend, class_weight=weight).loss
    torch.autograd.backward([loss], retain_graph=True)
    with torch.no_grad():
        {"logits": logits, "labels": target, "weights": weight}[changed].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward([loss])


@summing
def test_what_does_not_fit_is_refused(backend: Native) -> None:
    logits, target = torch.zeros(1, 3, 4, 4), torch.zeros(1, 8, 8).long()
    with pytest.raises(ShapeError, match=r"class weights \(2,\) for logits of 3 classes; expected \(3,\)"):
        summed_cross_entropy(logits, target, ignore_index=VOID, backend=backend, class_weight=torch.ones(2))
    with pytest.raises(ShapeError, match="labels are from 3 to 3 and the logits have 3 classes"):
        summed_cross_entropy(logits, target + 3, ignore_index=VOID, backend=backend)
