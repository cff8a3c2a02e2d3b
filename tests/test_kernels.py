"""Counting and selecting: exact, whatever the values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels import confusion_counts, histogram, kth_largest

Float = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def kth(values: Tensor, k: int) -> Tensor:
    return kth_largest(values, torch.tensor(k))


@Float
def test_every_rank_equals_the_sorted_value(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.empty(200, dtype=dtype).exponential_(generator=generator) ** 8
    expected = values.sort(descending=True).values
    assert torch.equal(torch.stack([kth(values, k + 1) for k in range(200)]), expected)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(min_value=0, width=32), max_size=12), data=st.data())
def test_ties_zeros_denormals_and_infinities_sort_too(values: list[float], data: st.DataObject) -> None:
    values = [*values, *values[:3]]
    k = data.draw(st.integers(1, len(values) + 2))
    padded = [*sorted(values, reverse=True), 0.0, 0.0]
    assert kth(torch.tensor(values, dtype=torch.float32), k).item() == padded[k - 1]


@Float
def test_neighbouring_floats_are_told_apart(dtype: torch.dtype) -> None:
    above = torch.nextafter(torch.tensor(0.7, dtype=dtype), torch.tensor(1.0, dtype=dtype))
    values = torch.stack([torch.tensor(0.7, dtype=dtype), above])
    assert kth(values, 1) == above
    assert kth(values, 2) == values[0]


def test_equal_values_give_that_value() -> None:
    assert kth(torch.full((50,), 1.25), 50) == 1.25


def test_too_few_values_give_zero() -> None:
    assert kth(torch.tensor([3.0, 2.0]), 3) == 0
    assert kth(torch.empty(0), 1) == 0


def test_negative_zero_is_zero() -> None:
    assert kth(torch.tensor([-0.0, 1.0]), 2) == 0
    assert kth(torch.tensor([-0.0, 1.0]), 1) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_selected_in_float32(dtype: torch.dtype) -> None:
    selected = kth(torch.tensor([0.5, 0.25, 2.0], dtype=dtype), 2)
    assert selected.dtype == torch.float32
    assert selected == 0.5


@Float
def test_summed_histograms_select_from_all_workers_with_a_fixed_number_of_sums(dtype: torch.dtype) -> None:
    here, there = torch.rand(40, dtype=dtype), torch.rand(7, dtype=dtype)
    passes: list[Tensor] = []

    def record(counts: Tensor) -> Tensor:
        passes.append(counts)
        return counts

    joined = kth_largest(torch.cat([here, there]), torch.tensor(30), reduce=record)
    assert len(passes) == {torch.float32: 3, torch.float64: 6}[dtype]
    assert all(counts.shape == (2048,) and counts.dtype == torch.int64 for counts in passes)

    # The other worker's histograms, in the order of the passes: the joined ones less ours.
    remaining = iter(passes)
    assert kth_largest(here, torch.tensor(30), reduce=lambda counts: next(remaining) + 0 * counts) == joined


def test_the_number_of_sums_does_not_depend_on_the_values() -> None:
    def calls(values: Tensor, k: int) -> int:
        seen: list[Tensor] = []

        def record(counts: Tensor) -> Tensor:
            seen.append(counts)
            return counts

        kth_largest(values, torch.tensor(k), reduce=record)
        return len(seen)

    assert calls(torch.empty(0), 5) == calls(torch.rand(9), 99) == calls(torch.zeros(4), 1) == 3


def test_histogram_counts_like_bincount() -> None:
    index = torch.randint(0, 30, (500,))
    assert torch.equal(histogram(index, 40), torch.bincount(index, minlength=40))


def brute_force(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    for p, t in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
        if t != ignore_index:
            counts[t, p] += 1
    return counts


@pytest.mark.parametrize("ignore_index", [255, 0, 4])
def test_confusion_counts_every_labelled_pixel_once(ignore_index: int) -> None:
    prediction, target = torch.randint(0, 5, (2, 3, 6, 7))
    target = target.masked_fill(torch.rand(target.shape) < 0.3, ignore_index)
    counts = confusion_counts(prediction, target, 5, ignore_index)
    assert counts.dtype == torch.int64
    assert torch.equal(counts, brute_force(prediction, target, 5, ignore_index))


@pytest.mark.parametrize("images", [0, 2])
def test_nothing_labelled_counts_nothing(images: int) -> None:
    void = torch.full((images, 3, 3), 255)
    assert torch.equal(confusion_counts(torch.zeros_like(void), void, 4, 255), torch.zeros(4, 4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (torch.zeros(1, 2, 2).long(), torch.zeros(1, 4, 4).long(), "must be equal"),
        (torch.full((1, 2, 2), 3), torch.zeros(1, 2, 2).long(), "prediction holds 3"),
        (torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), 200), "target holds 200"),
        (torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), -1), "target holds -1"),
    ],
)
def test_what_makes_no_class_is_refused(prediction: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        confusion_counts(prediction, target, 3, 255)


def test_selecting_runs_without_reading_values_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    forbidden: Callable[..., None] = lambda *_: pytest.fail("a value was read by the host")  # noqa: E731
    for name in ("item", "tolist", "__bool__", "__int__", "__float__", "__index__"):
        monkeypatch.setattr(Tensor, name, forbidden)
    kth_largest(torch.rand(9), torch.tensor(4))
