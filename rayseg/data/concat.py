"""Several data sets as one, one after the other."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from rayseg.data._shortcuts import shortcut
from rayseg.data.dataset import Dataset, Palette
from rayseg.data.picture import Picture, picture_of
from rayseg.errors import DataError
from rayseg.types import Sample

__all__ = ["ConcatSegmentation"]


class ConcatSegmentation:
    """One split of several data sets: the images of the first, then those of the second, and so on.

    In a config ``parts`` are specs by name, each with ``splits`` if it does not belong to all of them.

    Args:
        split: name of the split, as each of the parts knows it.
        parts: name -> ``split -> Dataset``, in order.
        splits: name -> the splits that a part belongs to; one that is not there belongs to all.

    Raises:
        DataError: there are no parts, a split has none, or class names differ.

    Example:
        >>> from functools import partial
        >>> from rayseg.data import SyntheticStreets
        >>> day, night = (partial(SyntheticStreets, seed=seed, length=3, size=(32, 48)) for seed in (0, 1))
        >>> both = ConcatSegmentation("train", parts={"day": day, "night": night}, splits={"night": ["train"]})
        >>> len(both), both[3].name == night("train")[0].name, (both[3].image == night("train")[0].image).all().item()
        (6, True, True)
    """

    def __init__(
        self,
        split: str,
        *,
        parts: Mapping[str, Callable[[str], Dataset]],
        splits: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        chosen = {name: part for name, part in parts.items() if split in (splits or {}).get(name, [split])}
        if not chosen:
            raise DataError(
                f"concat {split}: no part belongs to this split (parts: {', '.join(parts) or 'none'}); name it in splits"
            )
        self._split = split
        self._parts: dict[str, Dataset] = {name: part(split) for name, part in chosen.items()}
        self._ends = list(accumulate(len(part) for part in self._parts.values()))
        first, *others = self._parts
        for name in others:
            if tuple(self._parts[name].class_names) != tuple(self._parts[first].class_names):
                theirs, ours = (", ".join(self._parts[each].class_names) for each in (name, first))
                raise DataError(
                    f"concat {split}: the classes of {name} are {theirs}; those of {first} are {ours}; expected the same names "
                    "in the same order: give classes and label_map"
                )

    @property
    def parts(self) -> tuple[Dataset, ...]:
        """The data sets of this split, in order."""
        return tuple(self._parts.values())

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class, those of every part."""
        return tuple(next(iter(self._parts.values())).class_names)

    @property
    def palette(self) -> Palette | None:
        """One RGB triple per class, of the first part that has any."""
        return next((part.palette for part in self._parts.values() if part.palette is not None), None)

    def __len__(self) -> int:
        """Number of images, of all parts."""
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        """Image and mask number ``index``."""
        part, own = self._place(index)
        return part[own]

    def picture(self, index: int) -> Picture:
        """Image and mask number ``index``, undecoded where the part can do that."""
        part, own = self._place(index)
        return picture_of(part, own)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Mask number ``index`` alone, where the part has it alone."""
        part, own = self._place(index)
        alone = shortcut(part, "mask", instead_of="__getitem__")
        found: NDArray[np.uint8] = part[own].mask if alone is None else alone(own)
        return found

    def digest(self) -> str:
        """Digest of the parts' digests, in order."""
        return hashlib.blake2b("|".join(part.digest() for part in self._parts.values()).encode(), digest_size=16).hexdigest()

    def _place(self, index: int) -> tuple[Dataset, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"concat {self._split}: no image {index}; there are {len(self)}")
        number = bisect_right(self._ends, index)
        return self.parts[number], index - (self._ends[number - 1] if number else 0)
