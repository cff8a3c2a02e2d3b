"""Test-time augmentation: an image at several sizes and mirrored, and the mean of what is said about it.

Letters: N images, K channels of the logits, H x W pixels of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rayseg.errors import ShapeError
from rayseg.inference.whole import resized
from rayseg.kernels import log_probabilities

__all__ = ["augmented_logits", "scaled_size"]


def scaled_size(size: Sequence[int], scale: float, resize: Sequence[int] | None = None) -> tuple[int, int]:
    """Height and width of a scaled image, as mmcv's ``Resize`` with ``keep_ratio`` has them.

    Without ``resize`` as with ``scale_factor``: both sides are rounded, then the whole image is fitted into that and rounded
    again. With it as MMSegmentation 0.x has ``img_scale`` and ``img_ratios``: a box of the scaled sides, rounded down.

    Args:
        size: ``(H, W)`` px.
        scale: factor.
        resize: long and short side of a box, in any order, px; the image is made as large as fits into it, either way round.

    Returns:
        px, at least 1.

    Example:
        >>> scaled_size((1024, 2048), 0.75), scaled_size((11, 1000), 0.75)
        ((768, 1536), (8, 727))
        >>> scaled_size((375, 500), 1.0, (512, 2048)), scaled_size((500, 375), 0.5, (512, 2048))
        ((512, 683), (341, 256))
    """
    box = [int(side * scale + 0.5) for side in size] if resize is None else [int(side * scale) for side in resize]
    factor = min(inner / side for inner, side in zip(sorted(box), sorted(size), strict=True))
    height, width = (max(1, int(side * factor + 0.5)) for side in size)
    return height, width


def augmented_logits(
    predict: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    resize: Sequence[int] | None = None,
) -> Tensor:
    """Logits whose probabilities are the mean over views of the image (MMSegmentation's ``SegTTAModel``).

    The logits of a view are brought to its size, mirrored back if it was mirrored, and brought to the size of the image; then
    softmax, of one channel sigmoid, and the mean. It is computed with logarithms: what is returned is ``log(mean p)``, of one
    channel ``log(mean p / (1 - mean p))``, so that it goes on as logits do, and no probability is lost because it is small.

    Args:
        predict: ``(N, 3, h, w)`` to logits ``(N, K, any, any)``.
        images: ``(N, 3, H, W)``, normalised.
        scales: of the views.
        flip: whether each of them is seen mirrored left to right as well.
        resize: long and short side of the box that images are first fitted into, px; None: they stay as they are.

    Returns:
        ``(N, K, H, W)``, float32 or more.

    Raises:
        ShapeError: there are no scales.

    Example:
        >>> ramp = torch.tensor([[[[0.0, 4.0]]]])
        >>> augmented_logits(lambda images: ramp, torch.zeros(1, 3, 1, 2), flip=True).sigmoid()
        tensor([[[[0.7410, 0.7410]]]])
    """
    if not scales:
        raise ShapeError("no scales; expected at least one, such as 1.0")
    size = images.shape[-2:]
    views = [(scale, mirrored) for scale in scales for mirrored in ((False, True) if flip else (False,))]
    total: Tensor | None = None
    channels = 0
    for scale, mirrored in views:
        logits = _view(predict, resized(images, scaled_size(size, scale, resize)), mirrored=mirrored)
        channels = logits.shape[1]
        said = log_probabilities(resized(logits, size))
        total = said if total is None else torch.logaddexp(total, said)
    assert total is not None
    return total[:, 1:] - total[:, :1] if channels == 1 else total - math.log(len(views))


def _view(predict: Callable[[Tensor], Tensor], images: Tensor, *, mirrored: bool) -> Tensor:
    """Logits of images that are shown mirrored, as if they were not; at the size of the images."""
    if not mirrored:
        return resized(predict(images), images.shape[-2:])
    return resized(predict(images.flip(-1)), images.shape[-2:]).flip(-1)
