"""How a model is asked: the whole image or windows of it, once or in several views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from rayseg.errors import ShapeError
from rayseg.inference.slide import slide_logits
from rayseg.inference.views import augmented_logits
from rayseg.inference.whole import predict_logits

__all__ = ["Inference"]


@dataclass(frozen=True)
class Inference:
    """From images to logits. Views come first, then the windows of each view, as in MMSegmentation.

    Args:
        crop_size: height and width of windows, px; None: whole images.
        stride: of the windows down and across, px; given with ``crop_size``.
        scales: at which an image is seen.
        flip: whether it is also seen mirrored, at each scale.
        resize: long and short side of the box that an image is first fitted into, ratio kept, px; None: it stays as it is.
        batch_size: most windows in one forward pass.

    Raises:
        ShapeError: one of ``crop_size`` and ``stride`` is missing.

    Example:
        >>> ask = Inference(crop_size=(32, 32), stride=(16, 16), flip=True)
        >>> ask(nn.Conv2d(3, 2, 2, stride=2), torch.rand(1, 3, 40, 50)).shape
        torch.Size([1, 2, 40, 50])
    """

    crop_size: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    resize: tuple[int, int] | None = None
    batch_size: int = 8

    def __post_init__(self) -> None:
        """Windows have a size and a stride."""
        if (self.crop_size is None) != (self.stride is None):
            raise ShapeError(f"crop_size {self.crop_size} and stride {self.stride}: give both, or none for whole images")

    @torch.no_grad()
    def __call__(self, model: nn.Module, images: Tensor, *, autocast: torch.dtype | None = None) -> Tensor:
        """Logits of images ``(N, 3, H, W)``: ``(N, K, H, W)``; of whole images seen once at the head's own stride.

        Args:
            model: in the mode in which it shall be asked.
            images: normalised.
            autocast: dtype of the forward pass where autocast allows it; None: as the weights are.
        """
        predict: Callable[[Tensor], Tensor] = partial(predict_logits, model, autocast=autocast)
        if self.crop_size is not None and self.stride is not None:
            predict = partial(slide_logits, predict, crop_size=self.crop_size, stride=self.stride, batch_size=self.batch_size)
        if self.scales != (1.0,) or self.flip or self.resize is not None:
            predict = partial(augmented_logits, predict, scales=self.scales, flip=self.flip, resize=self.resize)
        return predict(images)
