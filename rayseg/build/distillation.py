"""Learning from a trained model: a loss that opens a checkpoint.

Letters: N images, C classes, H x W pixels, K channels: C, or 1 for two classes.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.losses import kl_divergence
from rayseg.models import named_logits
from rayseg.types import MAIN_HEAD

if TYPE_CHECKING:
    from rayseg.config import DataConfig

__all__ = ["Distillation", "other_data"]


class Distillation(nn.Module):
    """Divergence of the model's classes from those of a teacher; one value per pixel, that of ``rayseg.losses.kl_divergence``.

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", pixel by pixel. The teacher sees the images that
    the model sees, after the same augmentation, in evaluation mode and without a gradient; it makes no collectives and is no
    part of the model or of its checkpoints. Ignored pixels do not teach. Together with ``cross_entropy`` the two weights make
    the paper's mixture.

    Args:
        checkpoint: directory of a checkpoint of ``rayseg.train``, which every worker can read.
        temperature: T, above 0; more looks at the improbable classes too.

    Raises:
        CheckpointError: there is no whole checkpoint.
        ConfigError: its model cannot be made.

    Example:
        >>> loss = Distillation("runs/large/checkpoints/step_00080000", temperature=4.0)  # doctest: +SKIP
    """

    def __init__(self, checkpoint: str, temperature: float = 1.0) -> None:
        super().__init__()
        trained = importlib.import_module("rayseg.build.trained").load_trained(checkpoint)  # which itself resolves losses
        self.data: DataConfig = trained.config.data
        self.class_names: tuple[str, ...] = trained.class_names
        self.teacher: nn.Module = trained.model.requires_grad_(False)
        self.temperature = temperature
        self._seen: Callable[[], Tensor | None] = lambda: None
        self._taught = torch.empty(0)
        self.eval()

    def forward(self, logits: Tensor, target: Tensor, *, ignore_index: int, images: Tensor) -> Tensor:
        """Loss ``(N, H, W)`` of logits ``(N, K, H, W)`` for labels ``(N, H, W)`` and images ``(N, 3, H, W)``."""
        output = self._of_teacher(images).to(logits.dtype)
        taught = F.interpolate(output, size=logits.shape[-2:], mode="bilinear", align_corners=False)
        return kl_divergence(logits, taught, temperature=self.temperature).masked_fill(target == ignore_index, 0)

    @torch.no_grad()
    def _of_teacher(self, images: Tensor) -> Tensor:
        """The teacher's logits ``(N, K, h, w)``, kept for the next who asks about the same images: a head, or a sampler."""
        if self._seen() is not images:
            parameter = next(self.teacher.parameters())
            if parameter.device != images.device:
                self.teacher.to(images.device)
            self._taught = named_logits(self.teacher(images.to(parameter.dtype)))[MAIN_HEAD]
            self._seen = weakref.ref(images)
        return self._taught


def other_data(loss: object, data: DataConfig, class_names: Sequence[str]) -> str | None:
    """What is wrong if a teacher was trained on other classes or otherwise normalised images; None for any other loss.

    Args:
        loss: of a term.
        data: of the experiment.
        class_names: of what the loss's head learns. A teacher without its data may have numbers for names.
    """
    if not isinstance(loss, Distillation):
        return None
    if (loss.data.mean, loss.data.std) != (data.mean, data.std):
        theirs, ours = (f"mean {list(each.mean)}, std {list(each.std)}" for each in (loss.data, data))
        return (
            f"the teacher was trained on images with {theirs}, and here they have {ours}; set data.mean and data.std to its own"
        )
    known = not all(name.isdigit() for name in loss.class_names)
    if known and len(class_names) == len(loss.class_names) and tuple(class_names) != loss.class_names:
        theirs, ours = (", ".join(names) for names in (loss.class_names, class_names))
        return (
            f"the teacher's classes are {theirs}, and here they are {ours}; name a teacher of the same classes in their order"
        )
    return None
