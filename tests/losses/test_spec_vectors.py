"""Numbers that MMSegmentation gives (0.30 and 1.2.2, on a CPU), through the mix and the option that names the behaviour."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from rayseg.kernels import confusion_counts
from rayseg.losses import binary_cross_entropy, cross_entropy, sigmoid_focal
from rayseg.metrics import scores
from rayseg.mix import Head, Mix, Normalize, Term

N, C, H, W, VOID = 2, 4, 3, 5, 255
_n, _h, _w = torch.meshgrid(torch.arange(N), torch.arange(H), torch.arange(W), indexing="ij")
X = 2 * torch.sin(0.7 * torch.arange(N * C * H * W, dtype=torch.float64)).view(N, C, H, W)
Y = (7 * _n + 3 * _h + 2 * _w) % 4
YI = Y.clone()
YI[:, 0, :2] = VOID
#: One rounding of float32: 1.2.2 computes in it, and both add it to their denominators.
CLOSE = 1.2e-7
CW = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)


def value(loss: Callable[..., Any], labels: Tensor, normalize: Normalize, weight: Tensor | None = None, **head: Any) -> float:
    mix = Mix({"main": Head({"loss": Term(loss, normalize=normalize, class_weight=weight)}, **head)})
    return float(mix({"main": X}, labels, step=0).total)


@pytest.mark.parametrize(
    ("normalize", "weight", "expected"),
    [
        ("all", None, 2.10931602),
        ("valid", None, 2.43382618),  # avg_non_ignore=True
        ("all", CW, 4.36381295),  # 0.30
        ("valid", CW, 5.03516877),  # 0.30, avg_non_ignore=True
        ("weights", CW, 2.56694880),  # torch; 1.2.2 fails on a label of 255
        ("all_weights", None, 2.10931602),  # 1.2.2 without class weights
    ],
)
def test_cross_entropy(normalize: Normalize, weight: Tensor | None, expected: float) -> None:
    assert value(cross_entropy, YI, normalize, weight) == pytest.approx(expected, rel=CLOSE)


@pytest.mark.parametrize(
    ("normalize", "head", "expected"),
    [
        ("all_weights", {}, 2.59578943),
        ("all_weights", {"ignore_index": 0}, 2.50918913),
        ("weights", {"ignore_index": 0}, 2.66886497),  # avg_non_ignore=True
    ],
)
def test_cross_entropy_with_class_weights_of_1_2_2(normalize: Normalize, head: dict[str, int], expected: float) -> None:
    assert value(cross_entropy, Y, normalize, CW, **head) == pytest.approx(expected, rel=CLOSE)


def test_void_is_of_no_class_where_1_2_2_would_read_beyond_the_weights() -> None:
    valid = YI != VOID
    numerator = (CW[Y] * cross_entropy(X, Y, ignore_index=VOID))[valid & (Y != 0)].sum()
    expected = float(numerator / CW[Y][valid].sum())
    assert value(cross_entropy, YI, "all_weights", CW, ignore_index=0, voids=(VOID,)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("normalize", "expected"), [("all", 0.86595470), ("valid", 0.99917853)])
def test_binary_cross_entropy(normalize: Normalize, expected: float) -> None:
    assert value(binary_cross_entropy, YI, normalize) == pytest.approx(expected, rel=CLOSE)


def test_focal() -> None:
    assert value(partial(sigmoid_focal, alpha=0.5), YI, "all") == pytest.approx(0.25170755, rel=CLOSE)


def test_accuracy_is_the_acc_seg_of_its_log_as_a_fraction() -> None:
    confusion = confusion_counts(X.argmax(1), YI, C, VOID)
    assert scores(confusion, ["a", "b", "c", "d"])["aAcc"] == pytest.approx(0.153846, abs=5e-7)
