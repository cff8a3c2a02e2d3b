"""The confusion matrix of logits, without the logits at full size.

The logits stay at the head's own stride; a few rows at a time are upsampled bilinearly, each pixel's class is the first of the
largest, and what it was taken for is counted. Classes are not written down unless somebody wants to see them. The counts are
those of ``confusion_counts`` of the classes of ``interpolate``, to the pixel where both round alike, as in C++ they do for
contiguous logits of four classes and more with labels of more than 128 px in height and width together; elsewhere a pixel may
differ whose two best classes differ by a rounding.

Letters: N images, C classes, H x W pixels of the labels, h x w pixels of the logits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from rayseg.kernels.compiler import compiled_library
from rayseg.kernels.confusion import confusion_counts, count_by
from rayseg.kernels.native import compiled_backend, geometry_of, pointer, require_fine
from rayseg.kernels.statistics import Inputs, Wanted

__all__ = ["NativeScoring", "Scored", "Scoring", "StripScoring", "compiled_scoring", "confusion_of_logits"]

_SOURCE = Path(__file__).parent / "csrc" / "evaluation.cpp"
_INSTEAD = "scores are computed in strips, which is slower; install g++"
_NOT_FINITE = 3
#: Elements of a strip at full size. Few stay in a cache; but every strip upsamples the rows beside it too, and wherever torch's
#: threads wait for each other they turn, which costs most where other work has their cores.
_STRIP_ELEMENTS = 1 << 22
#: Where height and width together are no more than this, torch upsamples in another way, which rounds otherwise.
_SMALL = 128


class Scored(NamedTuple):
    """``counts`` ``(C, C)`` int64, rows truth, columns prediction; ``prediction`` ``(N, H, W)`` int64, if it was wanted."""

    counts: Tensor
    prediction: Tensor | None


class Scoring(Protocol):
    """One way to count. Results do not depend on threads."""

    @property
    def name(self) -> str:
        """What a log calls it."""
        ...

    @property
    def device(self) -> str | None:
        """Type of the only device on which it is used; None: any."""
        ...

    def __call__(self, inputs: Inputs, *, prediction: bool) -> Scored | None:
        """Counts, and classes if they are wanted; None where the logits must be looked at plainly, as they are not finite."""
        ...


def confusion_of_logits(
    logits: Tensor, target: Tensor, *, ignore_index: int, scoring: Scoring, prediction: bool = False
) -> Scored | None:
    """The confusion matrix of upsampled logits.

    Args:
        logits: ``(N, C, h, w)``, or ``(N, 1, h, w)`` for two classes; the half precisions are computed in float32.
        target: ``(N, H, W)`` int64: labels in ``[0, C)``, or ``ignore_index``.
        ignore_index: label that means: not labelled.
        scoring: what counts.
        prediction: whether the class of each pixel is wanted too.

    Returns:
        None where ``scoring`` leaves it to others: logits in float64, on another device, or not finite.

    Raises:
        ShapeError: a label is no class.

    Example:
        >>> logits = torch.tensor([[[[-1.0, 1.0]]]])
        >>> confusion_of_logits(logits, torch.tensor([[[0, 0, 1, 0]]]), ignore_index=255, scoring=StripScoring()).counts
        tensor([[2, 1],
                [0, 1]])
    """
    if logits.dtype == torch.float64 or scoring.device not in {None, logits.device.type}:
        return None
    logits = logits.float()
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    inputs = Inputs(logits.contiguous(), target.contiguous(), ignore_index, align_corners=False, wanted=Wanted())
    return scoring(inputs, prediction=prediction)


@dataclass(frozen=True)
class NativeScoring:
    """In C++ on a CPU (``csrc/evaluation.cpp``); made by :func:`compiled_scoring`.

    Args:
        library: compiled.
        name: what a config calls it.
        device: where it can be used.
    """

    library: Any
    name: str = "fused"
    device: str | None = "cpu"

    def __call__(self, inputs: Inputs, *, prediction: bool) -> Scored | None:
        """Counts, and classes if they are wanted."""
        classes = inputs.logits.shape[1]
        counts = torch.empty(classes, classes, dtype=torch.int64)
        labels = torch.empty_like(inputs.target) if prediction else None
        arguments = map(pointer, (inputs.logits, inputs.target, labels, counts))
        status = self.library.rayseg_confusion_of_logits(ctypes.byref(geometry_of(inputs)), *arguments)
        if status == _NOT_FINITE:
            return None
        require_fine(status, inputs)
        return Scored(counts, labels)


@dataclass(frozen=True)
class StripScoring:
    """In plain torch on any device, a few rows at a time where the scale is a power of two, else an image at a time.

    Args:
        name: what a config calls it.
        device: type of the only device on which it is used; None: any.

    Example:
        >>> StripScoring().name
        'strips'
    """

    name: str = "strips"
    device: str | None = None

    def __call__(self, inputs: Inputs, *, prediction: bool) -> Scored | None:
        """Counts, and classes if they are wanted."""
        logits, target = inputs.logits, inputs.target
        classes = logits.shape[1]
        counts = torch.zeros(classes, classes, dtype=torch.int64, device=logits.device)
        labels = torch.empty_like(target if prediction else target[:1])
        for image in range(len(target)):
            here = slice(image, image + 1)
            best = labels[here] if prediction else labels
            for rows, full in _strips(logits[here], target.shape[1], target.shape[2]):
                best[:, rows] = full.max(1).indices  # the same as argmax, which takes three times as long
            counts += confusion_counts(best, target[here], classes, inputs.ignore_index)
        return Scored(counts, labels if prediction else None)


def _strips(logits: Tensor, height: int, width: int) -> Iterator[tuple[slice, Tensor]]:
    """Logits of rows at full size, ``(1, C, R, W)``; rounded as if all were upsampled at once."""
    low_rows, scale = logits.shape[2], height // logits.shape[2]
    if scale * low_rows != height or scale & (scale - 1):
        yield slice(0, height), F.interpolate(logits, size=(height, width), mode="bilinear")
        return
    step = max(1, _STRIP_ELEMENTS // (logits.shape[1] * scale * width))
    fewest = -(-(_SMALL + 1 - width) // scale)  # with which a strip is not small where the whole is not
    for first in range(0, low_rows, step):
        last = min(first + step, low_rows)
        after = min(last + 1, low_rows)  # the rows at both ends lie between these and their neighbours
        before = max(min(first - 1, after - fewest), 0)
        after = max(after, min(before + fewest, low_rows))
        full = logits[:, :, before:after]
        if logits.shape[-2:] != (height, width):
            full = F.interpolate(full, size=((after - before) * scale, width), mode="bilinear")
        yield slice(first * scale, last * scale), full[:, :, (first - before) * scale : (last - before) * scale]


def compiled_scoring() -> NativeScoring | None:
    """The one in C++, compiled if nobody has done so before; None where that cannot be, which is logged once.

    From then on ``confusion_counts`` counts in C++ too.

    Example:
        >>> scoring = compiled_scoring()
        >>> scoring is None or scoring.name
        'fused'
    """
    if compiled_backend() is None:  # which has said so
        return None
    library = compiled_library(_SOURCE, instead=_INSTEAD)
    if library is None:
        return None
    count_by(library)
    return NativeScoring(library)
