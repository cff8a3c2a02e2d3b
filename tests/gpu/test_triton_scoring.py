"""What is shown of the confusion matrix under Triton's interpreter, on a card; and at sizes of evaluation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from rayseg.kernels import confusion_counts
from tests.kernels.test_statistics import VOID, batch
from tests.kernels.test_triton_scoring import (
    counted,
    test_a_kernel_that_counts_wrongly_is_found_out_and_told,
    test_every_pixel_is_counted_once_under_the_class_that_is_largest,
    test_logits_at_full_size_are_left_to_others,
    test_what_is_no_number_is_larger_than_any_and_the_first_of_equal_ones_is_taken,
)

__all__ = [
    "test_a_kernel_that_counts_wrongly_is_found_out_and_told",
    "test_every_pixel_is_counted_once_under_the_class_that_is_largest",
    "test_logits_at_full_size_are_left_to_others",
    "test_what_is_no_number_is_larger_than_any_and_the_first_of_equal_ones_is_taken",
]

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def device() -> str:
    return "cuda"


@pytest.mark.parametrize(("c", "scale"), [(19, 4), (19, 8), (150, 4), (3, 32)])
def test_sizes_of_evaluation(device: str, c: int, scale: int) -> None:
    logits, target = batch(1, 2, c, 8, 16, 8 * scale, 16 * scale)
    counts, prediction = counted(device, logits, target)
    full = F.interpolate(logits.double(), size=tuple(target.shape[1:]), mode="bilinear")
    two = full.topk(2, 1).values
    clear = two[:, 0] - two[:, 1] > 1e-5
    assert torch.equal(prediction[clear], full.argmax(1)[clear])
    assert torch.equal(counts, confusion_counts(prediction, target, c, VOID))
