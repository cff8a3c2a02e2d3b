"""What is shown of the kernels under Triton's interpreter, on a card; and what only a card can show."""

from __future__ import annotations

import pytest
import torch

from tests.kernels.test_statistics import batch
from tests.kernels.test_triton import (
    assert_same,
    backend_of,
    mix_of,
    step,
    test_a_cell_in_pieces_and_a_row_of_cells_in_several_programs,
    test_confident_logits_lose_no_digits,
    test_digits_are_counted_as_torch_counts_them,
    test_every_output_and_gradient_is_that_of_logits_at_full_size,
    test_four_times_the_size,
    test_hard_examples_and_class_sums_are_those_of_the_plain_way_and_nothing_waits_for_the_device,
    test_it_repeats_to_the_bit_and_one_image_does_not_see_another,
    test_the_trial_tells_kernels_that_are_wrong_from_those_that_are_right,
    test_what_is_no_number_and_no_class_is_seen_in_the_loss,
    test_without_a_label_everything_is_0_and_without_an_image_nothing_is_done,
)

__all__ = [
    "test_a_cell_in_pieces_and_a_row_of_cells_in_several_programs",
    "test_confident_logits_lose_no_digits",
    "test_digits_are_counted_as_torch_counts_them",
    "test_every_output_and_gradient_is_that_of_logits_at_full_size",
    "test_four_times_the_size",
    "test_hard_examples_and_class_sums_are_those_of_the_plain_way_and_nothing_waits_for_the_device",
    "test_it_repeats_to_the_bit_and_one_image_does_not_see_another",
    "test_the_trial_tells_kernels_that_are_wrong_from_those_that_are_right",
    "test_what_is_no_number_and_no_class_is_seen_in_the_loss",
    "test_without_a_label_everything_is_0_and_without_an_image_nothing_is_done",
]

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def device() -> str:
    return "cuda"


SHAPES = {
    "a quarter": (2, 19, 32, 64, 128, 256),
    "an eighth, an odd crop": (1, 19, 17, 17, 129, 131),
    "a thirty-second": (1, 7, 4, 6, 128, 192),
    "one and a half": (1, 150, 20, 30, 30, 45),
    "full size": (2, 3, 33, 47, 33, 47),
    "smaller than the logits": (1, 5, 40, 30, 17, 19),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_sizes_of_training(device: str, shape: str, align_corners: bool, dtype: torch.dtype) -> None:
    assert_same(device, *batch(1, *SHAPES[shape]), align_corners=align_corners, dtype=dtype)


def test_no_synchronisation_is_asked_for(device: str) -> None:
    mix, (logits, target) = mix_of(backend_of(device)), batch(5, 2, 19, 16, 16, 64, 64)
    logits, target = logits.to(device), target.to(device)
    expected = step(mix, logits, target)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = step(mix, logits, target)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_a_step_can_be_captured_as_a_graph_and_is_the_same_to_the_bit(device: str) -> None:
    mix, (logits, target) = mix_of(backend_of(device)), batch(6, 2, 19, 16, 16, 64, 64)
    logits, target = logits.to(device), target.to(device)
    apart = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    apart.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(apart):
        for _ in range(3):
            step(mix, logits, target)
    torch.cuda.current_stream().wait_stream(apart)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step(mix, logits, target)
    other, labels = batch(7, 2, 19, 16, 16, 64, 64)
    logits.copy_(other)
    target.copy_(labels)
    graph.replay()
    expected = step(mix, logits, target)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
