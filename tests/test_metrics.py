"""Scores: MMSegmentation's numbers on its own example, fractions, and no NaN among the keys."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rayseg.errors import ShapeError
from rayseg.kernels import confusion_counts
from rayseg.metrics import METRICS, accuracy, dice, fscore, iou, precision, scores
from rayseg.report import render_table
from rayseg.tracking import metrics_line

BOUNDARY = torch.tensor([[1, 2, 3, 4], [5, 5, 5, 5], [4, 4, 4, 4]])


def shared_confusion() -> torch.Tensor:
    """Of the example on which the original code was run."""
    N, C, H, W = 2, 4, 3, 5
    logits = 2 * torch.sin(0.7 * torch.arange(N * C * H * W, dtype=torch.float64)).view(N, C, H, W)
    n, h, w = torch.meshgrid(torch.arange(N), torch.arange(H), torch.arange(W), indexing="ij")
    target = (7 * n + 3 * h + 2 * w) % 4
    target[:, 0, 0:2] = 255
    return confusion_counts(logits.argmax(1), target, C, 255)


def test_scores_equal_mmsegmentation() -> None:
    confusion = shared_confusion()
    assert confusion.diagonal().tolist() == [1, 1, 0, 2]
    assert confusion.sum(0).tolist() == [4, 8, 8, 6]
    assert confusion.sum(1).tolist() == [6, 6, 7, 7]
    result = scores(confusion, list("abcd"))
    assert result["aAcc"] == pytest.approx(0.15384616, abs=1e-7)
    assert [result[f"IoU/{name}"] for name in "abcd"] == pytest.approx([0.11111111, 0.07692308, 0, 0.18181819], abs=1e-7)
    assert result["mIoU"] == pytest.approx((0.11111111 + 0.07692308 + 0 + 0.18181819) / 4, abs=1e-7)
    assert result["mAcc"] == pytest.approx((1 / 6 + 1 / 6 + 0 + 2 / 7) / 4)


def test_dice_and_f_scores_equal_mmsegmentation_s_whose_undefined_ones_are_nan() -> None:
    confusion = shared_confusion()
    nan = math.nan
    assert dice(confusion).tolist() == pytest.approx([0.2, 0.14285715, 0, 0.30769232], abs=1e-7)
    theirs = fscore(confusion, zero_division=nan).tolist()
    assert theirs == pytest.approx([0.2, 0.14285713, nan, 0.30769232], abs=1e-7, nan_ok=True)
    assert fscore(confusion).tolist() == pytest.approx([0.2, 0.14285713, 0, 0.30769232], abs=1e-7)


@given(counts=st.lists(st.integers(0, 50), min_size=9, max_size=9), beta=st.floats(0.2, 5))
def test_f_scores_are_those_of_precision_and_recall(counts: list[int], beta: float) -> None:
    confusion = torch.tensor(counts).view(3, 3)
    p, r = precision(confusion), accuracy(confusion)
    expected = (1 + beta**2) * p * r / (beta**2 * p + r)
    torch.testing.assert_close(fscore(confusion, beta=beta, zero_division=math.nan), expected, equal_nan=True)
    torch.testing.assert_close(fscore(confusion), dice(confusion), equal_nan=True)


@pytest.mark.parametrize("kind", [kind for kinds in METRICS.values() for kind in kinds])
def test_scores_of_classes_are_not_in_the_lines_and_tables_that_people_read(kind: str) -> None:
    metrics = {f"val/m{kind}": 0.5, f"val/{kind}/road": 0.25}
    assert metrics_line(3, metrics) == f"step 3  val  m{kind} 0.5"
    assert render_table([metrics]).split() == [f"val/m{kind}", "0.5"]


def test_every_metric_has_the_mean_and_the_scores_of_its_classes() -> None:
    confusion = shared_confusion()
    for metric, kinds in METRICS.items():
        result = scores(confusion, list("abcd"), metrics=[metric], beta=2.0, boundary=BOUNDARY)
        assert set(result) == {
            "aAcc",
            *(f"m{kind}" for kind in kinds),
            *(f"{kind}/{name}" for kind in kinds for name in "abcd"),
        }
        for kind in kinds:
            assert result[f"m{kind}"] == pytest.approx(sum(result[f"{kind}/{name}"] for name in "abcd") / 4)
    together = scores(confusion, list("abcd"), metrics=list(METRICS), beta=2.0, boundary=BOUNDARY)
    assert together.items() >= scores(confusion, list("abcd")).items()
    assert together["Fscore/a"] == pytest.approx(float(fscore(confusion, beta=2.0)[0]))


def test_a_class_that_is_nowhere_has_no_score_and_no_part_in_the_mean() -> None:
    confusion = torch.tensor([[2, 2, 0], [0, 4, 0], [0, 0, 0]])
    assert iou(confusion).isnan().tolist() == [False, False, True]
    result = scores(confusion, ["a", "b", "nowhere"])
    assert result["mIoU"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert not [key for key in result if "nowhere" in key]


def test_a_class_that_is_only_predicted_has_an_iou_of_zero_and_no_accuracy() -> None:
    confusion = torch.tensor([[2, 2], [0, 0]])
    assert iou(confusion).tolist() == [0.5, 0.0]
    assert accuracy(confusion).isnan().tolist() == [False, True]
    assert scores(confusion, ["a", "b"]) == {
        "mIoU": 0.25,
        "mAcc": 0.5,
        "aAcc": 0.5,
        "IoU/a": 0.5,
        "IoU/b": 0.0,
        "Acc/a": 0.5,
    }


def test_no_labelled_pixel_at_all_gives_no_score() -> None:
    assert scores(torch.zeros(2, 2, dtype=torch.int64), ["a", "b"]) == {}


def test_counts_beyond_float32_are_exact() -> None:
    confusion = torch.tensor([[2**24 + 3, 0], [1, 2**40]])
    assert iou(confusion)[0].item() == (2**24 + 3) / (2**24 + 4)
    assert scores(confusion, ["a", "b"])["aAcc"] < 1


@given(
    st.integers(2, 5).flatmap(
        lambda c: st.lists(st.lists(st.integers(0, 10**9), min_size=c, max_size=c), min_size=c, max_size=c),
    )
)
def test_scores_are_finite_fractions_and_iou_never_exceeds_accuracy(counts: list[list[int]]) -> None:
    confusion = torch.tensor(counts)
    result = scores(confusion, [str(i) for i in range(len(counts))])
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in result.values())
    both = torch.stack([iou(confusion), accuracy(confusion)])
    assert (both[0] <= both[1] + 1e-15)[~both.isnan().any(0)].all()


def test_a_class_without_a_border_has_no_score_and_borders_that_were_not_counted_are_refused() -> None:
    counts = torch.tensor([[3, 0, 0], [4, 0, 2], [5, 0, 0]])
    result = scores(torch.eye(3, dtype=torch.int64), list("abc"), metrics=["mBoundaryIoU"], boundary=counts)
    assert result == {"mBoundaryIoU": 0.25, "aAcc": 1.0, "BoundaryIoU/a": 0.5, "BoundaryIoU/c": 0.0}
    with pytest.raises(ShapeError, match="needs the counts of borders"):
        scores(torch.eye(3, dtype=torch.int64), list("abc"), metrics=["mBoundaryIoU"])


@pytest.mark.parametrize("shape", [(3, 3), (2, 3), (4,)])
def test_a_matrix_that_does_not_fit_the_names_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="2 class names need"):
        scores(torch.zeros(shape), ["a", "b"])
