"""The statistics in Triton against logits at full size, in float64: under its interpreter here, on a card in ``tests/gpu``."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.kernels import Triton, Wanted, gpu, pixel_statistics, why_no_triton
from rayseg.kernels.statistics import Gradients, Inputs, Raw
from rayseg.losses import Dice, DiceMmseg1x, cross_entropy
from rayseg.mix import Head, Mix, Term, fused
from rayseg.sampling import ohem
from tests.kernels.test_statistics import EVERYTHING, VOID, at_full_size, batch, flat
from tests.waiting import waits_for

pytestmark = [pytest.mark.triton, pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")]  # of NumPy, interpreting

pytest.importorskip("triton", reason="Triton is not installed")


@pytest.fixture(scope="module")
def device() -> str:
    return "cpu"


def backend_of(device: str) -> Triton:
    return Triton(device)


def assert_same(device: str, logits: Tensor, target: Tensor, *, align_corners: bool, dtype: torch.dtype) -> None:
    """As for the other backends; logits of half precision are the same numbers in float64, and the gradient is rounded once."""
    low = logits.to(dtype)
    ours = low.to(device).requires_grad_()
    precise = low.double().requires_grad_()
    weights = torch.rand(max(target.numel(), target.shape[0] * max(2, logits.shape[1])), generator=torch.manual_seed(5)) - 0.3
    expected, total = flat(at_full_size(precise, target, align_corners=align_corners), weights)
    (reference,) = torch.autograd.grad(total, precise)
    take = partial(pixel_statistics, ignore_index=VOID, wanted=EVERYTHING, align_corners=align_corners)
    found, mine = flat(take(ours, target.to(device), backend=backend_of(device)), weights.to(device))
    (gradient,) = torch.autograd.grad(mine, ours)
    for value, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(value.cpu().double(), wanted, rtol=2e-5, atol=2e-5)
    assert gradient.dtype == dtype
    allowed = 2e-6 if dtype == torch.float32 else torch.finfo(dtype).eps / 2
    assert (gradient.cpu() - reference).norm() <= allowed * reference.norm() + 1e-12


@settings(max_examples=4)
@given(
    seed=st.integers(0, 99),
    c=st.sampled_from([1, 3]),
    sizes=st.tuples(*[st.integers(1, 2)] * 2, *[st.integers(1, 7)] * 2),
    align_corners=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_every_output_and_gradient_is_that_of_logits_at_full_size(
    device: str, seed: int, c: int, sizes: tuple[int, int, int, int], align_corners: bool, dtype: torch.dtype
) -> None:
    assert_same(device, *batch(seed, 1, c, *sizes), align_corners=align_corners, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_four_times_the_size(device: str, dtype: torch.dtype) -> None:
    assert_same(device, *batch(1, 2, 4, 1, 2, 4, 8), align_corners=False, dtype=dtype)


def test_a_cell_in_pieces_and_a_row_of_cells_in_several_programs(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_PIXELS", 8)
    monkeypatch.setattr(gpu, "_PIXELS_OF_PROGRAM", 16)
    assert_same(device, *batch(1, 1, 2, 1, 3, 4, 12), align_corners=False, dtype=torch.float32)


def test_confident_logits_lose_no_digits(device: str) -> None:
    assert_same(device, *batch(2, 1, 3, 1, 2, 3, 5, scale=40.0), align_corners=False, dtype=torch.float32)


def outputs(device: str, logits: Tensor, target: Tensor) -> list[Tensor]:
    leaf = logits.to(device).requires_grad_()
    found = pixel_statistics(leaf, target.to(device), ignore_index=VOID, wanted=EVERYTHING, backend=backend_of(device))
    values, total = flat(found, torch.linspace(-1, 1, max(target.numel(), 99), device=device))
    return [each.detach().cpu() for each in (*values, *torch.autograd.grad(total, leaf))]


def test_it_repeats_to_the_bit_and_one_image_does_not_see_another(device: str) -> None:
    logits, target = batch(3, 2, 2, 1, 2, 3, 4)
    first, again = outputs(device, logits, target), outputs(device, logits, target)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    alone = outputs(device, logits[:1], target[:1])
    assert all(torch.equal(a[:1], b) for a, b in zip(first[:-1], alone[:-1], strict=True))


def test_without_a_label_everything_is_0_and_without_an_image_nothing_is_done(device: str) -> None:
    leaf = torch.randn(1, 2, 2, 2, device=device, requires_grad=True)
    target = torch.full((1, 4, 4), VOID, device=device)
    take = partial(pixel_statistics, ignore_index=VOID, wanted=Wanted(True, True), backend=backend_of(device))
    found = take(leaf, target)
    assert found.mean_nll is not None
    assert found.sums is not None
    total = found.nll.sum() + found.mean_nll.sum() + torch.stack(found.sums).sum()
    assert total == 0
    assert not torch.autograd.grad(total, leaf)[0].any()
    assert take(leaf.detach()[:0], target[:0]).nll.shape == (0, 4, 4)


@pytest.mark.parametrize("broken", [math.nan, math.inf, 3, 2**32])
def test_what_is_no_number_and_no_class_is_seen_in_the_loss(device: str, broken: float) -> None:
    logits, target = batch(4, 1, 3, 2, 2, 4, 4)
    if isinstance(broken, int):
        target[0, 3, 3] = broken
    else:
        logits[0, 1, 0, 0] = broken
    found = pixel_statistics(
        logits.to(device), target.to(device), ignore_index=VOID, wanted=Wanted(sums=True), backend=backend_of(device)
    )
    assert found.sums is not None
    assert not found.nll.sum().isfinite()
    assert not found.sums.prediction.sum().isfinite()


@pytest.mark.parametrize("place", [2, 0])
def test_digits_are_counted_as_torch_counts_them(device: str, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_COUNTED", 64)
    assert why_no_triton(torch.device(device)) is None
    values = torch.rand(700, generator=torch.Generator().manual_seed(1)).repeat(2)
    values[::7] = -0.0
    bits = values.view(torch.int32)
    found = (bits[3] >> 11).long() if place == 0 else None
    counts = gpu.digit_counts(bits.to(device), place, None if found is None else found.to(device))
    chosen = bits & 0x7FFFFFFF
    chosen = chosen if found is None else chosen[chosen >> 11 == found]
    assert counts is not None
    assert torch.equal(counts.cpu(), torch.bincount(chosen >> 11 * place & 2047, minlength=2048))
    assert gpu.digit_counts(bits[:0].to(device), place, None) is not None


def mix_of(backend: Triton | None) -> Mix:
    terms = {
        "ce": Term(partial(cross_entropy, label_smoothing=0.1)),
        "dice": Term(Dice(), 3.0),
        "old": Term(DiceMmseg1x("softmax")),
    }
    head = Head(terms, partial(ohem, thresh=0.6, min_kept=0.4))
    return Mix({"main": head if backend is None else fused(head, backend)})


def step(mix: Mix, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.detach().requires_grad_()
    total = mix({"main": leaf}, target, step=0).total
    return total.detach(), torch.autograd.grad(total, leaf)[0]


def test_hard_examples_and_class_sums_are_those_of_the_plain_way_and_nothing_waits_for_the_device(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "rayseg.kernels.maps.library_in_use", lambda: None
    )  # where the CPU stands for a card: it is for a CPU's maps
    logits, target = batch(5, 1, 3, 1, 3, 4, 12)
    loss, gradient = step(mix_of(None), logits.double(), target)
    backend, where = backend_of(device), (logits.to(device), target.to(device))
    with waits_for(where[0].device.type) as seen:
        found, mine = step(mix_of(backend), *where)
    assert seen == []
    assert found.item() == pytest.approx(loss.item(), rel=2e-6)
    assert (mine.cpu() - gradient).norm() < 3e-6 * gradient.norm()


def nothing(_: Triton, inputs: Inputs, saved: Tensor, gradients: Gradients) -> Tensor:
    del saved, gradients
    return torch.zeros_like(inputs.logits)


def fails(_: Triton, inputs: Inputs) -> Raw:
    raise RuntimeError(f"no kernel for {inputs.logits.dtype}\nand more")


def test_the_trial_tells_kernels_that_are_wrong_from_those_that_are_right(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    look, here = why_no_triton.__wrapped__, torch.device(device)
    assert look(here) is None
    monkeypatch.setattr(Triton, "backward", nothing)
    assert "its kernels give wrong numbers here" in (look(here) or "")
    monkeypatch.setattr(Triton, "forward", fails)
    assert look(here) == "Triton fails here: RuntimeError: no kernel for torch.float32"


def test_the_kernels_compile_for_a_card_that_is_not_there() -> None:
    """The interpreter runs what no compiler takes; sm_90 is that of an H100."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.kernels.ahead_of_time"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["forward", "backward", "total", "confusion", "digits"]
