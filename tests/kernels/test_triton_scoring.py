"""The confusion matrix in Triton against that of classes at full size: under its interpreter, in ``tests/gpu`` on a card."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.kernels import TritonScoring, confusion_counts, confusion_of_logits, gpu_scoring, triton_scoring
from tests.kernels.test_statistics import VOID, batch

pytestmark = [pytest.mark.triton, pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")]  # of NumPy, interpreting

pytest.importorskip("triton", reason="Triton is not installed")


@pytest.fixture(scope="module")
def device() -> str:
    return "cpu"


def counted(device: str, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    found = confusion_of_logits(
        logits.to(device), target.to(device), ignore_index=VOID, scoring=TritonScoring(device), prediction=True
    )
    assert found is not None
    assert found.prediction is not None
    return found.counts.cpu(), found.prediction.cpu()


@settings(max_examples=4)
@given(
    seed=st.integers(0, 99),
    c=st.integers(2, 5),
    sizes=st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 12)] * 2),
)
def test_every_pixel_is_counted_once_under_the_class_that_is_largest(
    device: str, seed: int, c: int, sizes: tuple[int, int, int, int]
) -> None:
    assume(sizes[:2] != sizes[2:])
    logits, target = batch(seed, 1, c, *sizes)
    counts, prediction = counted(device, logits, target)
    full = F.interpolate(logits.double(), size=tuple(target.shape[1:]), mode="bilinear")
    assert torch.equal(prediction, full.argmax(1))
    assert torch.equal(counts, confusion_counts(prediction, target, c, VOID))


def test_what_is_no_number_is_larger_than_any_and_the_first_of_equal_ones_is_taken(device: str) -> None:
    logits = torch.zeros(1, 3, 1, 6)
    logits[0, 1:, 0] = torch.tensor([-1.0, 0.0, 2.0, 2.0, math.nan, 0.0])
    target = torch.zeros(1, 2, 12, dtype=torch.long)
    _, prediction = counted(device, logits, target)
    assert torch.equal(prediction, F.interpolate(logits, size=(2, 12), mode="bilinear").argmax(1))
    assert set(prediction.flatten().tolist()) == {0, 1}


def test_logits_at_full_size_are_left_to_others(device: str) -> None:
    logits, target = batch(1, 1, 3, 4, 5, 4, 5)
    assert confusion_of_logits(logits, target, ignore_index=VOID, scoring=TritonScoring(device)) is None


def test_a_kernel_that_counts_wrongly_is_found_out_and_told(
    device: str, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    look, here = triton_scoring.__wrapped__, torch.device(device)
    assert look(here) == TritonScoring(device)
    monkeypatch.setattr(gpu_scoring, "launch", lambda *_: None)
    assert look(here) is None
    assert logged == ["scores are counted plainly, with logits at full size: its kernel counts wrongly here"]
