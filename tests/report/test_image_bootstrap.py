"""Differences over images drawn again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rayseg.metrics import iou
from rayseg.report import bootstrap_images, iou_of_counts

NAMES = ["sky", "road", "car"]


def _counts(seed: int, seeds: int = 2, images: int = 24) -> np.ndarray:
    """``(S, N, 3, C)`` of confusion matrices that were drawn."""
    matrices = np.random.default_rng(seed).integers(0, 50, (seeds, images, 3, 3)) + 40 * np.eye(3, dtype=np.int64)
    return np.stack([np.einsum("snii->sni", matrices), matrices.sum(3), matrices.sum(2)], axis=2)


def test_the_counts_give_the_iou_of_the_confusion_matrix() -> None:
    matrix = torch.tensor([[3, 1, 0, 0], [2, 9, 0, 0], [0, 0, 0, 0], [1, 0, 0, 5]])
    counts = np.stack([matrix.diagonal().numpy(), matrix.sum(1).numpy(), matrix.sum(0).numpy()])
    np.testing.assert_allclose(iou_of_counts(counts), iou(matrix).numpy())


def test_the_mean_is_that_of_the_whole_split_and_the_order_of_images_does_not_matter() -> None:
    before, after = _counts(0), _counts(1)
    found = bootstrap_images(before, after, NAMES, resamples=50)
    truth = (iou_of_counts(after.sum(1)) - iou_of_counts(before.sum(1))).mean(0)
    assert [found[f"IoU/{name}"].mean for name in NAMES] == pytest.approx(list(truth))
    assert found["mIoU"].mean == pytest.approx(truth.mean())
    turned = bootstrap_images(before[:, ::-1], after[:, ::-1], NAMES, resamples=50)
    assert turned["mIoU"].mean == pytest.approx(found["mIoU"].mean)


def test_exchanging_the_two_recipes_turns_every_sign() -> None:
    before, after = _counts(0), _counts(1)
    there, back = bootstrap_images(before, after, NAMES), bootstrap_images(after, before, NAMES)
    for name, each in there.items():
        assert (back[name].low, back[name].high) == pytest.approx((-each.high, -each.low))


def test_one_recipe_beside_itself_has_no_difference_whatever_is_drawn() -> None:
    found = bootstrap_images(_counts(3), _counts(3), NAMES, resamples=20)
    assert {(each.low, each.mean, each.high) for each in found.values()} == {(0.0, 0.0, 0.0)}


def test_the_interval_covers_the_difference_of_the_images_behind() -> None:
    rng = np.random.default_rng(5)
    before, after = _counts(10, 1, 1500), _counts(11, 1, 1500)
    after[:, :, 0] += 5
    true = float((iou_of_counts(after.sum(1)) - iou_of_counts(before.sum(1))).mean())
    held = 0
    for _ in range(80):
        own = rng.choice(1500, 40, replace=False)
        found = bootstrap_images(before[:, own], after[:, own], NAMES, resamples=100)["mIoU"]
        held += found.low <= true <= found.high
    assert held / 80 > 0.86  # 0.95, less three standard errors and what percentiles of forty images lack


def test_a_class_that_is_in_no_image_is_left_out() -> None:
    before, after = _counts(0), _counts(1)
    before[..., 2], after[..., 2] = 0, 0
    assert list(bootstrap_images(before, after, NAMES, resamples=20)) == ["mIoU", "IoU/sky", "IoU/road"]
