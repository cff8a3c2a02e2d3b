"""What a dataset is, and what every sample of one must satisfy."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rayseg.data._native import are_labels, label_counts
from rayseg.errors import DataError
from rayseg.types import Sample

__all__ = ["Dataset", "Palette", "check_form", "check_labels", "check_sample"]

#: One RGB triple (0-255) per class, for pictures.
Palette = tuple[tuple[int, int, int], ...]


class Dataset(Protocol):
    """A split of images with masks, made by ``(split, **own) -> Dataset``.

    It must survive pickling (loading processes) and give the same sample for the same index in every process.

    Example:
        >>> from rayseg.data import SyntheticStreets
        >>> dataset: Dataset = SyntheticStreets("val", length=3)
        >>> len(dataset), dataset[0].image.shape, dataset[0].mask.shape
        (3, (128, 256, 3), (128, 256))
    """

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class, in the order of the labels; the void label has none."""
        ...

    @property
    def palette(self) -> Palette | None:
        """One RGB triple per class, or None."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Image and mask number ``index``, from 0."""
        ...

    def digest(self) -> str:
        """A hex string that changes when the data change, and not when they only move."""
        ...


def check_sample(sample: Sample, num_classes: int, ignore_index: int) -> None:
    """Raise unless image and mask fit together and every label is a class or ``ignore_index``.

    Args:
        sample: image ``(H, W, 3)`` uint8, mask ``(H, W)`` uint8.
        num_classes: C; labels are ``0 .. C-1``.
        ignore_index: the label that means: not labelled.

    Raises:
        DataError: naming the sample, what was found and what to do.

    Example:
        >>> import numpy as np
        >>> mask = np.full((2, 2), 7, np.uint8)
        >>> check_sample(Sample(np.zeros((2, 2, 3), np.uint8), mask, "a.png"), 3, 255)
        Traceback (most recent call last):
        rayseg.errors.DataError: a.png: mask has labels 7; expected 0..2, or 255 for void. ...
    """
    check_form(sample)
    check_labels(sample.mask, sample.name, num_classes, ignore_index)


def check_form(sample: Sample) -> None:
    """Raise unless image and mask fit together; the part of :func:`check_sample` that looks at no label.

    Example:
        >>> import numpy as np
        >>> check_form(Sample(np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 7, np.uint8), "a.png"))
    """
    image, mask = sample.image, sample.mask
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DataError(f"{sample.name}: image is {image.dtype} {image.shape}; expected uint8 (H, W, 3), RGB")
    if mask.dtype != np.uint8 or mask.ndim != 2:
        raise DataError(f"{sample.name}: mask is {mask.dtype} {mask.shape}; expected uint8 (H, W) of class indices")
    if image.shape[:2] != mask.shape:
        raise DataError(
            f"{sample.name}: image is {image.shape[0]}x{image.shape[1]} px and mask {mask.shape[0]}x{mask.shape[1]} px "
            "(height x width); expected equal sizes: export the mask at the size of its image, without interpolation"
        )
    if mask.size == 0:
        raise DataError(f"{sample.name}: image and mask have no pixels; remove the sample")


def check_labels(mask: NDArray[np.uint8], name: str, num_classes: int, ignore_index: int) -> None:
    """Raise unless every label of ``(H, W)`` is a class or ``ignore_index``: the other part of :func:`check_sample`.

    Example:
        >>> import numpy as np
        >>> check_labels(np.array([[0, 2, 255]], np.uint8), "a.png", 3, 255)
    """
    if are_labels(mask, num_classes, ignore_index):
        return
    counts = label_counts(mask)
    counts[:num_classes] = 0
    wrong = np.flatnonzero(counts)
    wrong = wrong[wrong != ignore_index]
    labels = ", ".join(map(str, wrong[:8].tolist())) + (", ..." if wrong.size > 8 else "")
    raise DataError(
        f"{name}: mask has labels {labels}; expected 0..{num_classes - 1}, or {ignore_index} for void. "
        "Name the missing classes (data.class_names), set data.ignore_index to the void label, or correct the mask"
    )
