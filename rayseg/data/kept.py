"""Decoded samples kept for the other processes of a machine, for later epochs and for later trials.

A sample is one file in a directory of ``/dev/shm``: its labels and pixels as they are, mapped into memory by whoever reads it.
Whoever decodes it first writes it, beside its place, and renames it: there it is whole or not at all, and nobody waits.
"""

from __future__ import annotations

import mmap
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rayseg.data.dataset import Dataset, Palette, check_sample
from rayseg.data.picture import Decoded, Picture, picture_of
from rayseg.errors import DataError
from rayseg.keeping import KeepingPlace, room_bytes
from rayseg.types import Sample

__all__ = ["KeptSegmentation"]

#: Of a file: height, width and bytes of the name; then the name, the labels and the pixels.
_HEAD = np.dtype("<u4")


@dataclass(frozen=True)
class KeptSegmentation:
    """A data set whose decoded samples are kept in a directory; the same samples to the bit.

    Only whole samples with right labels are kept; of the others the data set itself says what is wrong, as without this. Where
    there is no room, or no directory any more, samples are decoded as before.

    Args:
        dataset: what is kept.
        place: made by :func:`keeping_place`; it may hold other data sets too.
        key: of the data set in it: file names begin with it.
        num_classes: C.
        ignore_index: the void label.

    Example:
        >>> from rayseg.data import SyntheticStreets, keeping_place
        >>> streets = SyntheticStreets("train", length=2)
        >>> with keeping_place() as place:
        ...     kept = KeptSegmentation(streets, place, "streets-train", num_classes=9, ignore_index=255)
        ...     first, second = kept[0], kept[0]
        ...     names = [path.name for path in place.directory.iterdir()]
        >>> names, (first.image == second.image).all().item(), place.directory.exists()
        (['streets-train-0'], True, False)
    """

    dataset: Dataset
    place: KeepingPlace
    key: str
    num_classes: int
    ignore_index: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the data set."""
        return self.dataset.class_names

    @property
    def palette(self) -> Palette | None:
        """That of the data set."""
        return self.dataset.palette

    def __len__(self) -> int:
        """Number of images."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """Sample number ``index``; its arrays are this caller's own, whatever is written into them."""
        found = self._kept(index)
        return self.dataset[index] if found is None else found

    def picture(self, index: int) -> Picture:
        """Sample number ``index``, of which only what is looked at is read."""
        found = self._kept(index)
        return picture_of(self.dataset, index) if found is None else Decoded(found, checked=True)

    def digest(self) -> str:
        """That of the data set."""
        return self.dataset.digest()

    def _kept(self, index: int) -> Sample | None:
        directory = self.place.directory
        path = directory / f"{self.key}-{index}"
        try:
            return _read(path)
        except OSError:
            return self._made(index, path) if room_bytes(directory) > self.place.reserve_bytes else None

    def _made(self, index: int, path: Path) -> Sample | None:
        try:
            sample = self.dataset[index]
            check_sample(sample, self.num_classes, self.ignore_index)
        except DataError:
            return None
        _write(path, sample)
        return sample


def _read(path: Path) -> Sample:
    """Mapped so that pages that are written into become this process's own."""
    with path.open("rb") as file:
        data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), np.uint8)
    height, width, length = map(int, data[: 3 * _HEAD.itemsize].view(_HEAD))
    name, mask, image = np.split(data[3 * _HEAD.itemsize :], [length, length + height * width])
    return Sample(image.reshape(height, width, 3), mask.reshape(height, width), name.tobytes().decode())


def _write(path: Path, sample: Sample) -> None:
    """By ``write``, which says that there is no room where a mapping would be killed; then nothing is kept."""
    name = sample.name.encode()
    head = np.array([*sample.mask.shape, len(name)], _HEAD)
    draft = path.with_name(f".{uuid.uuid4().hex}")
    try:
        with draft.open("xb") as file:
            file.write(head.tobytes() + name)
            for part in (sample.mask, sample.image):
                file.write(np.ascontiguousarray(part).data)
        os.replace(draft, path)  # noqa: PTH105  must not make the directory anew, which may be gone
    except OSError:
        draft.unlink(missing_ok=True)
