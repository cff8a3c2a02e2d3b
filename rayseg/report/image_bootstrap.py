"""How much a difference depends on which images were in the split; nothing here is about seeds.

Letters: S seeds, N images, C classes. Counts of an image are the pixels of each class that were found, labelled and predicted:
``(3, C)``. They give IoU as the confusion matrix does, and are smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ImageInterval", "bootstrap_images", "iou_of_counts"]

#: Pixels, exact in either type.
Counts = NDArray[np.int64] | NDArray[np.float64]

#: Resamples whose sums are held at a time.
_AT_A_TIME = 100


@dataclass(frozen=True)
class ImageInterval:
    """A mean difference over the images of a split, with the interval of its resamples.

    Args:
        mean: candidate minus baseline, over seeds.
        low: percentile of the resamples.
        high: percentile of the resamples.
    """

    mean: float
    low: float
    high: float


def iou_of_counts(counts: Counts) -> NDArray[np.float64]:
    """Intersection over union of each class; NaN for a class that is neither labelled nor predicted.

    Args:
        counts: ``(..., 3, C)`` pixels that were found, labelled, predicted.

    Returns:
        ``(..., C)``.

    Example:
        >>> iou_of_counts(np.array([[3, 4], [4, 4], [3, 5]])).round(3).tolist()
        [0.75, 0.8]
    """
    found, labelled, predicted = np.moveaxis(np.asarray(counts, dtype=np.float64), -2, 0)
    either = labelled + predicted - found
    scores: NDArray[np.float64] = np.divide(found, either, out=np.full_like(either, np.nan), where=either > 0)
    return scores


def bootstrap_images(
    baseline: Counts,
    candidate: Counts,
    class_names: Sequence[str],
    *,
    error: float = 0.05,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, ImageInterval]:
    """Percentile intervals of the difference in mIoU and of each class, over images drawn again (Efron 1979).

    The same images are drawn for both recipes and all seeds, and the trained models stay as they are. Images are taken for
    independent: frames of one drive are not, and then the interval is too narrow.

    Args:
        baseline: ``(S, N, 3, C)`` counts of the images, by seed.
        candidate: the same of the other recipe; the same seeds and images in the same order.
        class_names: C names.
        error: how often an interval may miss the truth.
        resamples: how many times the images are drawn.
        seed: of the draws.

    Returns:
        ``mIoU`` and ``IoU/<class>``; a class that is in no image is left out.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> base = rng.integers(10, 20, (2, 30, 3, 1)) + np.array([0, 100, 100])[:, None]
        >>> found = bootstrap_images(base, base + np.array([5, 0, 0])[:, None], ["road"])["mIoU"]
        >>> found.low < found.mean < found.high
        True
    """
    baseline, candidate = baseline.astype(np.float64), candidate.astype(np.float64)
    images = baseline.shape[1]
    rng = np.random.default_rng(seed)
    whole = _differences(baseline, candidate, np.ones((1, images)))[0]
    drawn = rng.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float64)
    pieces = [drawn[start : start + _AT_A_TIME] for start in range(0, resamples, _AT_A_TIME)]
    spread = np.concatenate([_differences(baseline, candidate, piece) for piece in pieces])
    names = ["mIoU", *(f"IoU/{name}" for name in class_names)]
    there = [index for index in range(len(names)) if not np.isnan(whole[index])]
    low, high = np.nanquantile(spread[:, there], [error / 2, 1 - error / 2], axis=0)
    return {names[index]: ImageInterval(float(whole[index]), float(low[at]), float(high[at])) for at, index in enumerate(there)}


def _differences(
    baseline: NDArray[np.float64], candidate: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Candidate minus baseline, mean over seeds, of mIoU and of each class, ``(R, 1 + C)``, for R weights of the images."""
    before, after = (iou_of_counts(np.einsum("rn,snkc->rskc", weights, each, optimize=True)) for each in (baseline, candidate))
    means = np.nanmean(after, axis=-1) - np.nanmean(before, axis=-1)
    rows: NDArray[np.float64] = np.concatenate([means[..., None], after - before], axis=-1).mean(axis=1)
    return rows
