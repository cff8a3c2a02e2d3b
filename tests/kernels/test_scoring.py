"""Confusion matrices of logits against those of classes at full size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.kernels import Scoring, StripScoring, compiled_scoring, confusion, confusion_counts, confusion_of_logits
from rayseg.kernels import scoring as scoring_module
from tests.kernels.test_statistics import VOID, batch

COMPILED = compiled_scoring()
SCORINGS: list[Scoring] = [StripScoring(), *([COMPILED] if COMPILED is not None else [])]
needs_compiler = pytest.mark.skipif(COMPILED is None, reason="nothing here compiles C++")


def classes_of(logits: Tensor, target: Tensor) -> Tensor:
    size = tuple(target.shape[1:])
    full = logits if logits.shape[-2:] == target.shape[-2:] else F.interpolate(logits, size=size, mode="bilinear")
    return full.argmax(1)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 999),
    n=st.integers(1, 2),
    c=st.integers(2, 9),
    low=st.tuples(st.integers(1, 20), st.integers(1, 40)),
    full=st.tuples(st.integers(1, 70), st.integers(1, 90)),
)
@pytest.mark.parametrize("scoring", SCORINGS, ids=lambda each: each.name)
def test_every_pixel_is_counted_once_under_a_class_that_is_largest(
    scoring: Scoring, seed: int, n: int, c: int, low: tuple[int, int], full: tuple[int, int]
) -> None:
    logits, target = batch(seed, n, c, *low, *full)
    found = confusion_of_logits(logits, target, ignore_index=VOID, scoring=scoring, prediction=True)
    assert found is not None
    assert found.prediction is not None
    precise = F.interpolate(logits.double(), size=full, mode="bilinear")
    chosen = precise.gather(1, found.prediction[:, None])[:, 0]
    assert (precise.amax(1) - chosen).max() < 2e-5
    assert torch.equal(found.counts, confusion_counts(found.prediction, target, c, VOID))
    without = confusion_of_logits(logits, target, ignore_index=VOID, scoring=scoring)
    assert without is not None
    assert without.prediction is None
    assert torch.equal(without.counts, found.counts)


@pytest.mark.parametrize("scoring", SCORINGS, ids=lambda each: each.name)
@pytest.mark.parametrize(
    "sizes",
    [
        (2, 4, 12, 15, 97, 131),
        (1, 19, 16, 32, 64, 128),
        (1, 5, 100, 90, 80, 60),
        (2, 6, 70, 71, 70, 71),
        (1, 6, 43, 16, 172, 64),  # the last strip is small, the picture is not
    ],
)
def test_the_counts_are_those_of_torch_to_the_bit(
    sizes: tuple[int, ...], scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring_module, "_STRIP_ELEMENTS", 1 << 15)
    logits, target = batch(0, *sizes)
    close = logits * 1e-6 + torch.randn(1, 1, *logits.shape[2:])  # classes that differ by roundings
    for each in (logits, close):
        found = confusion_of_logits(each, target, ignore_index=VOID, scoring=scoring, prediction=True)
        assert found is not None
        assert found.prediction is not None
        assert torch.equal(found.prediction, classes_of(each, target))


@pytest.mark.parametrize("scoring", SCORINGS, ids=lambda each: each.name)
def test_of_equal_classes_the_first_counts(scoring: Scoring) -> None:
    logits = torch.randint(0, 3, (2, 7, 8, 16)).float()
    target = torch.randint(0, 7, (2, 32, 64))
    found = confusion_of_logits(logits, target, ignore_index=VOID, scoring=scoring, prediction=True)
    assert found is not None
    assert found.prediction is not None
    assert torch.equal(found.prediction, classes_of(logits, target))


@needs_compiler
def test_counts_do_not_depend_on_threads() -> None:
    logits, target = batch(3, 2, 5, 20, 30, 80, 120)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert COMPILED is not None
            scored = confusion_of_logits(logits, target, ignore_index=VOID, scoring=COMPILED)
            assert scored is not None
            found += [scored.counts, confusion_counts(target.clamp(max=4), target, 5, VOID)]
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])


@pytest.mark.parametrize("scoring", SCORINGS, ids=lambda each: each.name)
@pytest.mark.parametrize("size", [(8, 8), (16, 24)])
def test_what_is_not_finite_is_counted_as_argmax_has_it_or_left_to_others(scoring: Scoring, size: tuple[int, int]) -> None:
    logits, target = batch(1, 2, 3, 8, 8, *size)
    logits[1, 1, 3, 3] = torch.nan
    found = confusion_of_logits(logits, target, ignore_index=VOID, scoring=scoring, prediction=True)
    if scoring is COMPILED:
        assert found is None
    else:
        assert found is not None
        assert found.prediction is not None
        assert torch.equal(found.prediction, classes_of(logits, target))


@pytest.mark.parametrize("scoring", SCORINGS, ids=lambda each: each.name)
def test_a_label_that_is_no_class_is_refused(scoring: Scoring) -> None:
    for size in ((8, 8), (4, 4)):
        target = torch.zeros(1, *size, dtype=torch.long)
        target[0, 3, 3] = 4
        with pytest.raises(ShapeError, match="4"):
            confusion_of_logits(torch.zeros(1, 3, 4, 4), target, ignore_index=VOID, scoring=scoring)


@needs_compiler
@pytest.mark.parametrize("dtypes", [(torch.int64, torch.int64), (torch.uint8, torch.uint8), (torch.int64, torch.uint8)])
@pytest.mark.parametrize("void", [VOID, 1, 256, -100])
@pytest.mark.parametrize(("num_classes", "size"), [(2, 5), (19, 70001), (151, 3000), (256, 2000), (300, 3000)])
def test_labels_are_counted_alike_in_cpp_and_torch(
    dtypes: tuple[torch.dtype, torch.dtype], void: int, num_classes: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (num_classes > 256 or not 0 <= void < 256) and torch.uint8 in dtypes:
        pytest.skip("does not fit into bytes")
    prediction, target = torch.randint(0, num_classes, (2, 1, 1, size))
    target[..., : size // 2] = prediction[..., : size // 2] = 1
    target = target.masked_fill(torch.rand(target.shape) < 0.3, void)
    prediction, target = prediction.to(dtypes[0]), target.to(dtypes[1])
    counted = confusion_counts(prediction, target, num_classes, void)
    monkeypatch.setattr(confusion, "_in_use", [])
    assert torch.equal(counted, confusion_counts(prediction, target, num_classes, void))


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
@pytest.mark.parametrize("wrong", [3, 254, 256, 2**32, -1])
@pytest.mark.parametrize("which", ["prediction", "target"])
def test_labels_that_make_no_class_are_refused_wherever_they_are(dtype: torch.dtype, wrong: int, which: str) -> None:
    if dtype == torch.uint8 and not 0 <= wrong < 256:
        pytest.skip("does not fit into bytes")
    for place in (0, 63, 200, 69_999):
        labels = {name: torch.zeros(1, 1, 70_000, dtype=torch.int64) for name in ("prediction", "target")}
        labels[which][0, 0, place] = wrong
        prediction, target = (each.to(dtype) for each in labels.values())
        with pytest.raises(ShapeError, match=f"{which} holds {wrong}"):
            confusion_counts(prediction, target, 3, VOID)
